"""What a run of so many samples comes to: the law behind `pellucid train --minutes`, and whether it holds.

    scaling.py runs SETS --out runs.jsonl            trains on nine sets of pictures, with networks, batches, lengths
    scaling.py fit runs.jsonl                        writes pellucid/training/expected.toml
    scaling.py check SETS --minutes 4 --out FOLDER   trains on six others with `train --minutes`: was the plan right?
    scaling.py record runs.jsonl FOLDER --out records/scaling.md

SETS is a folder for the pictures, which `sides/picture_sets.py` makes once. Everything goes on where it stopped.
"""

import argparse
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from math import log, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from resume import machine
from scipy import stats
from sides.picture_sets import CHECKED, FITTED, write

from pellucid.data.held_out import share_of
from pellucid.data.pack import Pack
from pellucid.evaluation.history import History
from pellucid.evaluation.limits import linear_loss
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.expected import COVERED, TABLE, features
from pellucid.training.fit import HELD_OUT
from pellucid.training.loop import run
from pellucid.training.train import train

GRID = (("tiny", 4_096, 64), ("tiny", 16_384, 64), ("tiny", 65_536, 64), ("tiny", 16_384, 16), ("small", 4_096, 64),
        ("small", 16_384, 64))  # fmt: skip
"""Network, samples, batch."""
DEAR = 32_768
"""Samples of a tiny network, or what costs as much, from which on every second set has to do, and so on."""
LATE = 0.05
"""Of the minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description="The law of held-out losses.")
    commands = parser.add_subparsers(dest="command", required=True)
    running, fitting, checking, recording = (commands.add_parser(name) for name in ("runs", "fit", "check", "record"))
    for each in (running, checking):
        each.add_argument("sets", type=Path)
        each.add_argument("--out", type=Path, required=True)
    for each in (fitting, recording):
        each.add_argument("runs", type=Path)
    checking.add_argument("--minutes", type=float, default=4)
    recording.add_argument("checked", type=Path)
    recording.add_argument("--out", type=Path, default=Path("records/scaling.md"))
    asked = parser.parse_args()
    if asked.command == "runs":
        all_runs(asked.sets, asked.out)
    elif asked.command == "fit":
        TABLE.write_text(as_toml(law(read(asked.runs)), asked.runs), encoding="utf-8")
    elif asked.command == "check":
        check(asked.sets, asked.minutes, asked.out)
    else:
        asked.out.write_text("\n".join([*record(read(asked.runs), asked.checked), ""]), encoding="utf-8")


def all_runs(sets: Path, out: Path) -> None:
    """A line of JSON for each set and each of GRID, short ones first; what is dear of some of the sets alone."""
    write(sets, FITTED)
    done = {(row["set"], row["size"], row["samples"], row["batch"]) for row in read(out)}
    for size, samples, batch in sorted(GRID, key=cost):
        for name in list(FITTED)[:: 1 + cost((size, samples, batch)) // DEAR]:
            if (name, size, samples, batch) not in done:
                row = {"set": name, "size": size, "samples": samples, "batch": batch}
                with out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps({**row, **one_run(sets / f"{name}.npy", size, samples, batch)}) + "\n")


def cost(one: tuple[str, int, int]) -> int:
    """In samples of a tiny network."""
    return one[1] * (8 if one[0] == "small" else 1)


def one_run(data: Path, size: str, samples: int, batch: int) -> dict[str, Any]:
    """What it came to."""
    settings = (f"network.size={size}", f"training.samples={samples}", f"training.batch={batch}",
                f"training.held_out={share_of(len(np.load(data, mmap_mode='r')), HELD_OUT)}")  # fmt: skip
    config = apply_settings(RunConfig(), [f'data.path="{data.absolute()}"', *settings])
    with TemporaryDirectory() as folder:
        began = perf_counter()
        model = run(config, Path(folder) / "run")
        reached = History.read(Path(folder) / "run" / "log.jsonl").kind("reached")[0]
        pack = Pack.open(Path(folder) / "run" / "data")
        return {
            "loss": reached["loss"], "error": reached["standard_error"], "linear": linear_loss(model, pack), "n": len(pack),
            "parameters": sum(p.numel() for p in model.denoiser.parameters()), "word": reached["word"],
            "shape": model.facts.shape, "seconds": perf_counter() - began,
        }  # fmt: skip


def read(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.is_file() else []


def law(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """By least squares, with an intercept of each set; the interval's quantile is Student's of as many sets."""
    names = sorted({row["set"] for row in rows})
    x = np.array([features(row["samples"], row["parameters"], row["batch"]) for row in rows])
    y = np.array([log(row["loss"] / row["linear"]) for row in rows])
    own = np.array([[row["set"] == name for name in names] for row in rows], dtype=np.float64)
    found = np.linalg.lstsq(np.hstack([own, x]), y, rcond=None)[0]
    intercepts, slopes = found[: len(names)], found[len(names) :]
    left = y - own @ intercepts - x @ slopes
    within = float(left.std(ddof=1 + len(slopes)))
    between = float(intercepts.std(ddof=1))
    return {
        "intercept": float(intercepts.mean()), "slopes": slopes.tolist(),
        "spread": sqrt(between**2 * (1 + 1 / len(names)) + within**2),
        "quantile": float(stats.t.ppf(0.5 + COVERED / 2, len(names) - 1)), "between": between, "within": within,
        "intercepts": dict(zip(names, intercepts.tolist(), strict=True)),
    }  # fmt: skip


def as_toml(found: dict[str, Any], runs: Path) -> str:
    slopes = ", ".join(f"{slope:.5f}" for slope in found["slopes"])
    return (
        f"# Fitted by benchmarks/scaling.py to {len(read(runs))} runs on {len(found['intercepts'])} sets of pictures: "
        f"records/scaling.md.\n\n[image]\nintercept = {found['intercept']:.5f}\nslopes = [{slopes}]\n"
        f"spread = {found['spread']:.5f}\nquantile = {found['quantile']:.5f}\n"
    )


def check(sets: Path, minutes: float, out: Path) -> None:
    write(sets, CHECKED)
    for name in CHECKED:
        if not (out / name / "model.safetensors").is_file():
            began = perf_counter()
            train(sets / f"{name}.npy", out / name, minutes=minutes, resume=(out / name / "config.toml").is_file())
            (out / name / "seconds.json").write_text(json.dumps(perf_counter() - began), encoding="utf-8")


def record(rows: list[dict[str, Any]], checked: Path) -> Iterator[str]:
    found, outcomes = law(rows), [outcome(checked / name) for name in CHECKED]
    held = sum(one["low"] <= one["loss"] <= one["high"] for one in outcomes)
    late = max(abs(one["seconds"] / (60 * one["minutes"]) - 1) for one in outcomes)
    in_time = "yes" if late <= LATE else "NO"
    yield "# What so many minutes come to\n"
    yield (f"- of {len(outcomes)} data sets that the law was not fitted on, the 80% interval held the held-out loss that "
           f"was reached on {held}; at least 5: **{'yes' if held >= 5 else 'NO'}**")
    yield f"- the whole took at most {late:.1%} more or less than the minutes given; at most {LATE:.0%}: **{in_time}**"
    yield "\n| set | samples of | plan | expected (80%) | reached | linear denoiser | seconds of | word |"
    yield "|---" * 8 + "|"
    for one in outcomes:
        yield (f"| {one['set']} | {one['n']:,} of {one['shape']} | {one['plan']} | {one['expected']:.3f} "
               f"({one['low']:.3f} to {one['high']:.3f}) | {one['loss']:.3f} ± {1.96 * one['error']:.3f} | "
               f"{one['linear']:.3f} | {one['seconds']:.0f} of {60 * one['minutes']:.0f} | {one['word']} |")  # fmt: skip
    yield (f"\n## The law\n\nFitted to {len(rows)} runs on {len(found['intercepts'])} sets. L/L₀ by network, samples and "
           "batch:\n")  # fmt: skip
    columns = (f"{size} {samples:,} / {batch}" for size, samples, batch in GRID)
    yield "| set | samples | " + " | ".join(columns) + " | intercept |"
    yield "|---" * (3 + len(GRID)) + "|"
    for name, intercept in found["intercepts"].items():
        own = {(row["size"], row["samples"], row["batch"]): row for row in rows if row["set"] == name}
        shares = [f"{own[one]['loss'] / own[one]['linear']:.3f}" if one in own else "–" for one in GRID]
        yield f"| {name} | {next(iter(own.values()))['n']:,} | " + " | ".join(shares) + f" | {intercept:.3f} |"
    slopes = ", ".join(f"{slope:.4f}" for slope in found["slopes"])
    yield (f"\nSlopes b: {slopes}. Standard deviations of log(L/L₀): {found['between']:.3f} between sets, "
           f"{found['within']:.3f} of single runs; the interval reaches {found['quantile']:.2f} times {found['spread']:.3f} "
           "to either side.")
    yield "\n- command: in the docstring of benchmarks/scaling.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()


def outcome(folder: Path) -> dict[str, Any]:
    """Of a run with minutes."""
    history, card = History.read(folder / "log.jsonl"), Model.load(folder).card
    budget, reached = history.kind("budget")[0], history.kind("reached")[0]
    config, pack = json.loads((folder / "summary.json").read_text(encoding="utf-8")), Pack.open(folder / "data")
    return {
        "set": folder.name, "n": len(pack), "shape": " x ".join(map(str, pack.shape)), "loss": reached["loss"],
        "error": reached["standard_error"], "word": reached["word"], "expected": budget["loss"],
        "low": budget["low"], "high": budget["high"], "linear": budget["linear"], "minutes": budget["minutes"],
        "plan": f"{config['network'].get('size', 'tiny')}, {card['samples_seen']:,} in batches of "
                f"{card['samples_seen'] // card['steps']}",
        "seconds": json.loads((folder / "seconds.json").read_text(encoding="utf-8")),
    }  # fmt: skip


if __name__ == "__main__":
    main()
