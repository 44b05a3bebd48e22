"""The shipped recipe for Fashion-MNIST: loss and Fréchet distance against the cost of training.

    pellucid train FASHION --out RUN --recipe fashion-mnist --set training.precision=float32 \\
        --set training.checkpoint_samples=64000 --set training.keep_checkpoints=20
    python benchmarks/quality.py time RUN        seconds per sample of its steps, on a machine that does nothing else
    python benchmarks/quality.py way RUN         its checkpoints so far, as often as liked while it goes on
    python benchmarks/quality.py record RUN --out records/fashion-mnist.md

The finished model is measured as it was saved, sampled as the recipe says and without guidance; a checkpoint as if training
had ended there, without guidance. What is measured is kept in RUN/quality, so nothing is done twice. Cost is samples seen
times the median seconds per sample of `time`, so a machine that was busy during the run, or a run in several sittings, does
not change it. The chart lies beside the record.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from panels import stacked
from resume import machine
from safetensors import safe_open
from torch import Tensor

from pellucid.core.files import atomic_write
from pellucid.data.pack import Pack
from pellucid.evaluation.chart import Series
from pellucid.evaluation.fashion import FashionFeatures
from pellucid.evaluation.history import History
from pellucid.metrics.frechet import Frechet
from pellucid.metrics.kernel import Kernel
from pellucid.metrics.result import Result
from pellucid.model.model import Model
from pellucid.training.config import NAME, RunConfig, load_config
from pellucid.training.journal import Journal
from pellucid.training.loop import assemble
from pellucid.training.prepare import prepare
from pellucid.training.state import checkpoints
from pellucid.training.steps import Steps

BATCH = 250
WAY: Any = {"sampler": "dpmpp", "steps": 15, "guidance": 1.0, "against": "null"}
"""How checkpoints are sampled."""
WAYS: dict[str, Any] = {"as the recipe says": {}, "no guidance": {"guidance": 1.0, "against": "null"}}
"""How the finished model is."""
KERNEL = 5000
"""Samples, and real ones, for the kernel distance, whose cost grows with their square."""
ROUNDS, STEPS = 12, 10
"""Of timing, and steps in each."""
Array = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a run on Fashion-MNIST at each of its checkpoints.")
    parser.add_argument("command", choices=("time", "way", "record"))
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=10_000, help="samples of the finished model")
    parser.add_argument("--on-the-way", type=int, default=1000, help="samples at each checkpoint")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("records/fashion-mnist.md"))
    asked = parser.parse_args()
    config, place = load_config(asked.run / NAME), asked.run / "quality"
    if asked.command == "time":
        kept(place / "seconds.json", partial(timed, config))
        return
    model, network = opened(asked.run), FashionFeatures.load()
    real = np.asarray(kept(place / "real.json", lambda: real_features(network, model, asked.run / "data").tolist()))
    points = way(model, network, real, config, asked, place)
    if asked.command == "record":
        seconds = kept(place / "seconds.json", partial(timed, config))
        finished = {name: finish(name, network, real, asked, place) for name in WAYS}
        record = as_markdown(asked, config, points, finished, seconds)
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        history = History.read(asked.run / "log.jsonl")
        chart = drawn(history, points[config.training.ema[0]], median(seconds), asked.on_the_way)
        asked.out.with_suffix(".svg").write_text(chart, encoding="utf-8")
        asked.out.write_text(record, encoding="utf-8")
        print(record)


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What the file holds, made and told first if there is none."""
    if not path.is_file():
        made = make()
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as temporary:
            temporary.write_text(json.dumps(made), encoding="utf-8")
        print(path.stem, made if len(str(made)) < 1000 else "done", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))


def timed(config: RunConfig) -> list[float]:
    """Seconds per sample of whole steps, data to averaged weights, in each round."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        _, state, batches = assemble(config, prepare(config, folder / "data"))
        steps, found = Steps(config.training, state, batches, folder, "", Journal(folder, 0)), []
        for _ in range(ROUNDS):
            steps.step()
            start = perf_counter()
            for _ in range(STEPS):
                steps.step()
            found.append((perf_counter() - start) / STEPS / config.training.batch)
    return found


def opened(run: Path) -> Model:
    """A model to give the weights of checkpoints to, whether or not the run has ended."""
    config = load_config(run / NAME)
    model, _, _ = assemble(config, prepare(config, run / "data", started=True))
    model.denoiser.eval().requires_grad_(False)
    return model


def real_features(network: FashionFeatures, model: Model, folder: Path) -> Array:
    """Of all samples of a pack, (N, 128)."""
    pack = Pack.open(folder)
    blocks = (np.arange(start, min(start + 2000, len(pack))) for start in range(0, len(pack), 2000))
    return np.concatenate([network.features(model.modality.decode(pack[ids][0])) for ids in blocks])


def restore(model: Model, checkpoint: Path, width: float) -> None:
    """Give the model the average of this width from a checkpoint."""
    prefix = f"ema.{width}."
    with safe_open(checkpoint, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(prefix)]  # noqa: SIM118
        model.denoiser.load_state_dict({name.removeprefix(prefix): file.get_tensor(name) for name in names})


def way(
    model: Model, network: FashionFeatures, real: Array, config: RunConfig, asked: argparse.Namespace, place: Path
) -> dict[float, dict[int, float]]:  # fmt: skip
    """For each average of the weights, samples seen -> distance; the first at all checkpoints, the others at the last."""
    saved, (first, *others) = checkpoints(asked.run / "checkpoints"), config.training.ema

    def distance(checkpoint: Path, width: float) -> float:
        restore(model, checkpoint, width)
        made = model.sample(asked.on_the_way, label="all", seed=asked.seed, batch=BATCH, **WAY)
        ours = network.features(as_stored(model, made.data))
        return float(Frechet().measure(real, ours, np.ones((1, len(ours))))[0])

    def point(checkpoint: Path, width: float) -> float:
        name = f"{checkpoint.stem}, average {width:g}, {asked.on_the_way} samples, seed {asked.seed}.json"
        found: float = kept(place / name, partial(distance, checkpoint, width))
        return found

    ended = asked.command == "record"
    return {
        first: {int(path.stem): point(path, first) for path in saved},
        **{width: {int(saved[-1].stem): point(saved[-1], width)} for width in others if ended},
    }


def finish(
    name: str, network: FashionFeatures, real: Array, asked: argparse.Namespace, place: Path
) -> dict[str, Result]:  # fmt: skip
    """Both distances of the finished model, to the data that it was trained on."""

    def measured() -> dict[str, dict[str, Any]]:
        model = Model.load(asked.run)
        made = model.sample(asked.n, label="all", seed=asked.seed, batch=BATCH, **WAYS[name])
        ours = network.features(as_stored(model, made.data))
        found = {"frechet": Frechet()(real, ours), "kernel": Kernel(resamples=20)(real[:KERNEL], ours[:KERNEL])}
        return {metric: asdict(result) for metric, result in found.items()}

    path = place / f"{name}, {asked.n} samples, seed {asked.seed}.json"
    return {metric: Result(**found) for metric, found in kept(path, measured).items()}


def as_stored(model: Model, x: Tensor) -> Tensor:
    """Whole grey levels within range, as pictures are written."""
    return model.modality.decode(model.modality.encode(x))


def drawn(history: History, points: dict[int, float], each: float, n: int) -> str:
    """Loss and distance against minutes of cost, one chart below the other."""
    minutes = each / 60
    cost, distance = minutes * np.array(list(points)), np.array(list(points.values()))
    samples, loss = history.column("train", "samples"), history.column("train", "loss")
    later = samples > samples.max() / 100  # the first steep fall would flatten the rest
    charts = {
        f"Fréchet distance, {n:,} samples": ([Series(x=cost, y=distance)], True),
        "Training loss": ([Series(x=minutes * samples[later], y=loss[later])], False),
    }
    return stacked(charts, x_label="minutes of cost")


def as_markdown(
    asked: argparse.Namespace, config: RunConfig, points: dict[float, dict[int, float]],
    finished: dict[str, dict[str, Result]], seconds: list[float],
) -> str:  # fmt: skip
    model, each, first = Model.load(asked.run), median(seconds), config.training.ema[0]
    seen, parameters = model.card["samples_seen"], sum(p.numel() for p in model.denoiser.parameters())
    others = ", ".join(f"{width:g}: {found[max(found)]:.2f}" for width, found in points.items())
    sampling = ", ".join(f"{name} {value}" for name, value in model.sampling().items())
    return "\n".join([
        "# Fashion-MNIST, class-conditional",
        "",
        f"{seen:,} samples at {1 / each:.0f} a second ({1 / max(seconds):.0f} to {1 / min(seconds):.0f} in {ROUNDS} rounds "
        f"of {STEPS} steps, {config.training.precision}): a cost of **{seen * each / 60:.1f} minutes**. "
        f"{parameters / 1e6:.2f}M parameters; weights averaged over {first:g} of the run.",
        "",
        f"The finished model, {asked.n:,} samples, to the 60,000 pictures trained on. The recipe says: {sampling}.",
        "",
        "| sampled | Fréchet distance | 95% interval | real against real | kernel distance | 95% interval | floor |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(f"| {name} | {told(found['frechet'])} | {told(found['kernel'])} |" for name, found in finished.items()),
        "",
        f"On the way, {asked.on_the_way:,} samples, {WAY['sampler']} in {WAY['steps']} steps, no guidance (figures of "
        f"another N do not compare). Averages of the weights at the end, measured so: {others}.",
        "",
        "| samples seen | minutes of cost | Fréchet distance |",
        "| --- | --- | --- |",
        *(f"| {count:,} | {count * each / 60:.1f} | {distance:.2f} |" for count, distance in points[first].items()),
        "",
        f"![Loss and distance against cost]({asked.out.with_suffix('.svg').name})",
        "",
        "- commands: in the docstring of benchmarks/quality.py",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        "",
    ])  # fmt: skip


def told(result: Result) -> str:
    floor = "–" if result.floor is None else f"{result.floor:.3f}"
    return f"**{result.value:.3f}** | {result.low:.3f} to {result.high:.3f} | {floor}"


if __name__ == "__main__":
    main()
