"""The shipped recipe for Fashion-MNIST: loss and Fréchet distance against the cost of training.

    pellucid train FASHION --out RUN --recipe fashion-mnist --set training.checkpoint_samples=64000 \\
        --set training.keep_checkpoints=20
    python benchmarks/quality.py RUN --out records/fashion-mnist.md

The finished model is measured with each of its averages of the weights, then the best of them with more samples and several
strengths of guidance, and at every checkpoint on the way as if training had ended there. Cost is samples seen times the
median seconds per sample of the run's own log, so a machine that was busy for a while, or a run in several sittings, does
not change it. The chart lies beside the record.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from resume import machine
from safetensors import safe_open
from torch import Tensor

from pellucid.data.pack import Pack
from pellucid.evaluation.chart import HEIGHT, WIDTH, Series, plot
from pellucid.evaluation.fashion import FashionFeatures
from pellucid.evaluation.history import History
from pellucid.evaluation.markup import join, tag
from pellucid.metrics.frechet import Frechet
from pellucid.metrics.kernel import Kernel
from pellucid.metrics.result import Result
from pellucid.model.model import Model
from pellucid.training.config import NAME, load_config
from pellucid.training.state import checkpoints

BATCH = 250
SAMPLER, STEPS, GUIDANCE = "midpoint", 10, 1.0
"""Of what is measured on the way; sampler and steps of the finished model too."""
KERNEL = 5000
"""Samples, and real ones, for the kernel distance, whose cost grows with their square."""
STYLE = """text { font: 13px system-ui, sans-serif; fill: #555 } .name { font-weight: 600; fill: #1b1d21 }
rect { fill: #fdfdfc } path { fill: none; stroke-linejoin: round } .grid { stroke: #ddd } .base { stroke: #999 }
.line { stroke: #1f6f78; stroke-width: 2 }"""
TOP = 30
"""Pixels above each panel, for its name."""

Array = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a run on Fashion-MNIST at each of its checkpoints.")
    parser.add_argument("run", type=Path)
    parser.add_argument("-n", type=int, default=10_000, help="samples of the finished model")
    parser.add_argument("--on-the-way", type=int, default=2000, help="samples at each checkpoint")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.25, 1.0], help="of the finished model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("records/fashion-mnist.md"))
    asked = parser.parse_args()
    model, network = Model.load(asked.run), FashionFeatures.load()
    real = real_features(network, model, asked.run / "data")
    *way, last = checkpoints(asked.run / "checkpoints")
    widths = load_config(asked.run / NAME).training.ema
    averages = {width: measured(model, last, width, network, real, asked) for width in widths}
    best = min(averages, key=lambda width: averages[width])
    restore(model, last, best)
    finished = {weight: final(model, network, real, asked, weight) for weight in asked.guidance}
    points = {int(path.stem): measured(model, path, best, network, real, asked) for path in way}
    points[int(last.stem)] = averages[best]
    history = History.read(asked.run / "log.jsonl")
    each = 1 / float(np.median(history.column("train", "samples_per_second")))
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.with_suffix(".svg").write_text(drawn(history, points, each, asked.on_the_way), encoding="utf-8")
    record = as_markdown(asked, model, points, averages, finished, each)
    asked.out.write_text(record, encoding="utf-8")
    print(record)


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


def measured(
    model: Model, checkpoint: Path, width: float, network: FashionFeatures, real: Array, asked: argparse.Namespace
) -> float:  # fmt: skip
    """The Fréchet distance of one average of one checkpoint, from few samples in few steps."""
    restore(model, checkpoint, width)
    sampling: Any = {"sampler": SAMPLER, "steps": STEPS}
    made = model.sample(asked.on_the_way, label="all", seed=asked.seed, batch=BATCH, guidance=GUIDANCE, **sampling)
    ours = network.features(as_stored(model, made.data))
    distance = float(Frechet().measure(real, ours, np.ones((1, len(ours))))[0])
    print(checkpoint.stem, width, distance, flush=True)
    return distance


def final(
    model: Model, network: FashionFeatures, real: Array, asked: argparse.Namespace, guidance: float
) -> dict[str, Result]:  # fmt: skip
    """Both distances of the finished model, to the data that it was trained on."""
    sampling: Any = {"sampler": SAMPLER, "steps": STEPS}
    made = model.sample(asked.n, label="all", seed=asked.seed, batch=BATCH, guidance=guidance, **sampling)
    ours = network.features(as_stored(model, made.data))
    found = {"frechet": Frechet()(real, ours), "kernel": Kernel(resamples=20)(real[:KERNEL], ours[:KERNEL])}
    print(guidance, found, flush=True)
    return found


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
    panels = [
        join(
            tag("text", name, class_="name", x=56, y=(TOP + HEIGHT) * row + 20),
            plot(series, title=name, x_label="minutes of cost", log_y=log, y=(TOP + HEIGHT) * row + TOP, height=HEIGHT),
        )
        for row, (name, (series, log)) in enumerate(charts.items())
    ]
    size = {"viewBox": f"0 0 {WIDTH} {2 * (TOP + HEIGHT)}", "width": WIDTH}
    background = tag("rect", width="100%", height="100%")
    return tag("svg", tag("style", STYLE), background, *panels, xmlns="http://www.w3.org/2000/svg", **size)


def as_markdown(
    asked: argparse.Namespace, model: Model, points: dict[int, float], averages: dict[float, float],
    finished: dict[float, dict[str, Result]], each: float,
) -> str:  # fmt: skip
    seen, best = max(points), min(averages, key=lambda width: averages[width])
    parameters = sum(parameter.numel() for parameter in model.denoiser.parameters())
    others = ", ".join(f"{width:g}: {distance:.2f}" for width, distance in averages.items())
    return "\n".join([
        "# Fashion-MNIST, class-conditional",
        "",
        f"{seen:,} samples at {1 / each:.0f} a second (median of the log): a cost of {seen * each / 60:.1f} minutes. "
        f"{parameters / 1e6:.2f}M parameters; weights averaged over {best:g} of the run.",
        "",
        f"The finished model, {asked.n:,} samples in {STEPS} steps of {SAMPLER}, to the 60,000 pictures trained on:",
        "",
        "| guidance | Fréchet distance | 95% interval | real against real | kernel distance | 95% interval | floor |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(f"| {weight:g} | {told(found['frechet'])} | {told(found['kernel'])} |" for weight, found in finished.items()),
        "",
        f"On the way, {asked.on_the_way:,} samples, {STEPS} steps, guidance {GUIDANCE:g}. Averages at the end: {others}.",
        "",
        "| samples seen | minutes of cost | Fréchet distance |",
        "| --- | --- | --- |",
        *(f"| {count:,} | {count * each / 60:.1f} | {distance:.2f} |" for count, distance in points.items()),
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
    return f"{result.value:.3f} | {result.low:.3f} to {result.high:.3f} | {floor}"


if __name__ == "__main__":
    main()
