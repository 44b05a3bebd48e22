"""Few network calls: a learned solver and tuned models against the teacher and the best solver known before, by distance.

    few_calls.py measure RUN --steps 6 --out JSON [-n 5000] [--seeds 0 1 2] [--tuned RUN2:2 RUN3:1] [--guidance 1]
    few_calls.py add RUN --out JSON --tuned RUN2:2 [RUN3:1 ...]        models tuned since, measured alike
    few_calls.py record JSON [JSON ...] --out records/few-calls.md

For each seed a solver is learned anew and all ways draw from the same noise: the teacher (Heun in 25 steps, 49 calls),
DPM-Solver++ 3M on each grid and the learned solver in so many steps, and each tuned run in its own number of calls.
Distances are to 10,000 pictures of the run's data, drawn by the seed. `record` gives the share of the gap between
DPM-Solver++ 3M on the schedule's own grid and the teacher that is closed, its mean over seeds and Student's 95% interval.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from resume import machine
from scipy.stats import t as student

from pellucid.core.files import atomic_write
from pellucid.evaluation.asked import Asked
from pellucid.evaluation.choose import choose_network
from pellucid.evaluation.source import Source, opened
from pellucid.metrics import metrics
from pellucid.model.model import Model
from pellucid.training.measure import run_data
from pellucid.training.solver import TEACHER, TEACHER_STEPS, learn_solver

GRIDS = ("uniform", "quadratic", "log_snr", "karras")
REAL = 10_000


def main() -> None:
    asked = _arguments()
    {"measure": _measure, "add": _add, "record": _record}[asked.command](asked)


def _measure(asked: argparse.Namespace) -> None:
    model, found = Model.load(asked.run), dict[str, list[dict[str, Any]]]()
    tuned = _tuned(asked.tuned)
    with opened(run_data(asked.run), model) as source:
        network = choose_network("auto", source, None)
        for seed in asked.seeds:
            distance = _Distance.of(source, network, asked.n, seed)
            solved = learn_solver(model, asked.steps, seed=seed)
            third, steps = {"name": "dpmpp", "order": 3}, asked.steps
            ways: dict[str, tuple[Model, dict[str, Any]]] = {
                "teacher": (model, {"sampler": TEACHER, "steps": TEACHER_STEPS}),
                **{f"dpmpp 3M, {grid}": (model, {"sampler": third, "grid": grid, "steps": steps}) for grid in GRIDS},
                "learned": (model, {**solved.sections, "steps": steps}),
            }
            ways = {name: (one, {"guidance": asked.guidance, **settings}) for name, (one, settings) in ways.items()}
            ways |= {name: (one, {"steps": calls}) for name, (one, calls) in tuned.items()}
            for name, (one, settings) in ways.items():
                found.setdefault(name, []).append(distance(one, settings))
                print(seed, name, json.dumps(found[name][-1]), flush=True)
            found.setdefault("seconds of learning", []).append({"seed": seed, "value": solved.seconds})
            facts = {"run": asked.run.name, "grid": model.denoiser.process.schedule.grid, "n": asked.n, "steps": steps}
            with atomic_write(asked.out) as temporary:
                temporary.write_text(json.dumps({**facts, "found": found}, indent=1), encoding="utf-8")


def _add(asked: argparse.Namespace) -> None:
    facts = json.loads(asked.out.read_text(encoding="utf-8"))
    with opened(run_data(asked.run), Model.load(asked.run)) as source:
        network = choose_network("auto", source, None)
        for name, (model, calls) in _tuned(asked.tuned).items():
            facts["found"][name] = []
            for row in facts["found"]["teacher"]:
                distance = _Distance.of(source, network, facts["n"], row["seed"])
                facts["found"][name].append({**distance(model, {"steps": calls}), "minutes": model.card["minutes"]})
                print(row["seed"], name, json.dumps(facts["found"][name][-1]), flush=True)
    with atomic_write(asked.out) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _tuned(texts: list[str]) -> dict[str, tuple[Model, int]]:
    """Models and network calls, by what they are called in the record."""
    runs = [text.rpartition(":") for text in texts]
    return {f"{Path(name).name} in {calls}": (Model.load(name), int(calls)) for name, _, calls in runs}


class _Distance:
    """Settings of sampling in, the distance to real data out."""

    @classmethod
    def of(cls, source: Source, network: Any, n: int, seed: int) -> "_Distance":
        ids = source.choose(REAL, seed)
        real = np.concatenate([network.features(block) for block in source.blocks(ids)])
        return cls(source, network, real, n, seed)

    def __init__(self, source: Source, network: Any, real: Any, n: int, seed: int) -> None:
        self.source, self.network, self.real, self.n, self.seed = source, network, real, n, seed
        self.metric = metrics["frechet" if n > 2 * real.shape[1] else "kernel"](seed=seed, resamples=50)

    def __call__(self, model: Model, settings: dict[str, Any]) -> dict[str, Any]:
        wanted = Asked.of(model, self.source, self.n, self.seed)
        made = model.sample(self.n, label=wanted.labels, prompt=wanted.prompts, seed=self.seed, batch=100, **settings)
        shown = model.modality.decode(model.modality.encode(made.data))
        result = self.metric(self.real, self.network.features(shown))
        return {"seed": self.seed, "calls": made.nfe, "value": result.value, "low": result.low, "high": result.high,
                "floor": result.floor, "seconds": made.seconds}  # fmt: skip


def _record(asked: argparse.Namespace) -> None:
    every = [json.loads(path.read_text(encoding="utf-8")) for path in asked.json]
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join(_lines(every)), encoding="utf-8")


def _lines(every: list[dict[str, Any]]) -> Iterator[str]:
    yield "# Few network calls"
    for one in every:
        found, steps = one["found"], one["steps"]
        seeds = [row["seed"] for row in found["teacher"]]
        yield ""
        yield f"## {one['run']}: {one['n']:,} samples, seeds {', '.join(map(str, seeds))}"
        yield ""
        yield "| way | calls | Fréchet distance, each seed | mean | less the floor, over the teacher's |"
        yield "| --- | --- | --- | --- | --- |"
        floor = fmean(row["floor"] for row in found["teacher"])
        teacher = fmean(row["value"] for row in found["teacher"]) - floor
        for name, rows in found.items():
            if name != "seconds of learning":
                values = [row["value"] for row in rows]
                ratio = (fmean(values) - floor) / teacher
                each = ", ".join(f"{value:.3f}" for value in values)
                yield f"| {name} | {rows[0]['calls']} | {each} | {fmean(values):.3f} | {ratio:.2f} |"
        yield ""
        yield f"Floor (real against real) {floor:.3f}. {_gap(found, one['grid'])}"
        spent = fmean(row["value"] for row in found["seconds of learning"])
        yield f"Learning a solver of {steps} steps took {spent:.0f} s, the teacher's samples included."
    yield ""
    yield "- command: in the docstring of benchmarks/few_calls.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()
    yield ""


def _gap(found: dict[str, list[dict[str, Any]]], grid: str) -> str:
    """The share that is closed, as a sentence."""
    columns = (found["teacher"], found[f"dpmpp 3M, {grid}"], found["learned"])
    shares = [(plain["value"] - learned["value"]) / (plain["value"] - teacher["value"])
              for teacher, plain, learned in zip(*columns, strict=True)]  # fmt: skip
    reach = float(student.ppf(0.975, len(shares) - 1)) * stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else 0.0
    return (f"Of the gap between DPM-Solver++ 3M on the schedule's own grid ({grid}) and the teacher the learned solver "
            f"closes {100 * fmean(shares):.0f}% ± {100 * reach:.0f}%.")  # fmt: skip


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure samplers and tuned models of few network calls.")
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="learn, draw and measure")
    measuring.add_argument("run", type=Path, help="a run's folder, the teacher")
    measuring.add_argument("--steps", type=int, default=6)
    measuring.add_argument("-n", type=int, default=5000)
    measuring.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    measuring.add_argument("--tuned", nargs="*", default=[], metavar="RUN:CALLS")
    measuring.add_argument("--guidance", type=float, default=1.0)
    measuring.add_argument("--out", type=Path, required=True)
    adding = commands.add_parser("add", help="measure tuned models as the others were")
    adding.add_argument("run", type=Path)
    adding.add_argument("--tuned", nargs="+", metavar="RUN:CALLS", required=True)
    adding.add_argument("--out", type=Path, required=True)
    recording = commands.add_parser("record", help="write the record")
    recording.add_argument("json", type=Path, nargs="+")
    recording.add_argument("--out", type=Path, default=Path("records/few-calls.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
