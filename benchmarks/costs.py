"""Cost curves: seconds and memory against batch, pixels, steps, frames, length and the size of the data, with slopes.

    python benchmarks/costs.py --out records/costs.md
    python benchmarks/costs.py --only frames --rounds 3    # the curves that have a word in their title, printed

Drawing is `Model.sample` of starting weights, noise to pictures; training is whole steps, data to averaged weights. Networks
are as `pellucid train` builds them for the shape unless a patch is named. Seconds are the processor's, in which it matters
little what else runs: with one thread on an idle machine they are those of the clock. A round takes all points of a curve in
turn, up or down the axis; told are medians over rounds with their range. Memory is measured in a fresh process for each
point: the most anonymous memory (see memory.py) during the work, above what the process holds just before, after the same on
one sample of 8 values a side and with the model built. Linux only.

A slope is the exponent p of cost ~ axis^p, least squares of log cost against log axis over the larger half of the points,
for seconds with a level of its own for each round. A cost counts as growing faster than it may if its slope lies above by
more than 0.05 and two standard errors. Fixed costs make slopes smaller, which is why small points are left out.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from ctypes import CDLL
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from math import prod
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from threading import Event, Thread
from time import perf_counter, process_time, sleep
from typing import Any

import numpy as np
import torch
from memory import EVERY, anonymous
from resume import machine, tell

from pellucid.core.items import Item
from pellucid.data.pack import is_pack
from pellucid.data.write import write_pack
from pellucid.model.config import Facts, ModelConfig, Section
from pellucid.model.model import Model
from pellucid.networks.grid import divide
from pellucid.training.config import DataConfig, RunConfig, TrainingConfig, settled
from pellucid.training.journal import Journal
from pellucid.training.loop import assemble
from pellucid.training.prepare import prepare
from pellucid.training.steps import Steps

NETWORKS: dict[str, Section] = {"U-Net": {"name": "unet"}, "transformer": {"name": "transformer"}}
UNET, TRANSFORMER = NETWORKS.values()
MODALITY: Section = {"name": "image"}
"""Of all shapes: bytes in a pack."""
COUNTS = (1, 2, 4, 8, 16, 32, 64)
SIDES = (32, 48, 64, 96, 128, 160, 192)
PICTURE = (3, 32, 32)
LINEAR, ATTENTION = (1, 1), (2, 1)
TOLERANCE = 0.05
"""What a slope may lie above its power beside two standard errors."""
NOTES = (
    "Networks are of size tiny unless another is named. Positions are what a network works on, the patches of its finest "
    "grid. A derived patch grows with the shape: until 64 positions are left for a transformer, and for a U-Net until 256 "
    "are left or a patch holds 16 values per channel; halvings make cost a staircase under a straight line. Where a patch "
    "is named it is kept, and positions grow with the axis.",
    "Attention compares all positions with each other. In a transformer whose patch is kept its share grows until seconds "
    "are quadratic; memory stays linear, as torch does it in blocks. A U-Net has attention (from size small on) at its "
    "coarsest level alone, and has levels added until that has 64 positions or fewer.",
    "Networks, losses and samplers take samples of one to three axes, so frames and length are measured, as bytes.",
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """A point: `batch` samples of `shape` drawn in `steps` steps, or, where there is `data`, steps of training on as many
    samples in a pack under `folder`.
    """

    network: Section
    shape: tuple[int, ...]
    batch: int = 1
    steps: int = 2
    data: int = 0
    folder: Path = Path()

    def model(self) -> Model:
        return Model.create(ModelConfig(modality=MODALITY, network=self.network), Facts(shape=self.shape))

    def ready(self) -> Callable[[], object]:
        """The work, once or many times, with all done that does not count."""
        if not self.data:
            return partial(self.model().sample, self.batch, steps=self.steps, batch=self.batch)
        training = TrainingConfig(batch=self.batch, samples=10**6)
        data = DataConfig(path=str(self.pack()))
        config = settled(RunConfig(modality=MODALITY, network=self.network, data=data, training=training), "cpu")
        _, state, batches = assemble(config, prepare(config, self.folder / "run"))
        with closing(Journal(self.folder, 0)) as journal:  # a step alone writes nothing
            return Steps(config.training, state, batches, self.folder, "", journal).step

    def pack(self) -> Path:
        """Random bytes, written where they are not there yet."""
        path = self.folder / "-".join(map(str, (self.data, *self.shape)))
        if not is_pack(path):
            rng = np.random.default_rng(0)
            items = (Item(source="random", data=rng.integers(0, 256, self.shape, np.uint8)) for _ in range(self.data))
            write_pack(items, path)
        return path


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Work at several values of an axis.

    Attributes:
        held: what is the same at all of them.
        powers: of the axis that seconds and memory may grow with: 0 where they may not, 2 where attention compares positions
            whose number grows with the axis.
    """

    task: str
    network: str
    axis: str
    held: str
    works: dict[int, Work]
    powers: tuple[int, int] = LINEAR

    @property
    def title(self) -> str:
        return f"{self.task}, {self.network}: {self.axis}"


@dataclass(frozen=True)
class Slope:
    """An exponent with its standard error, beside the power that is allowed."""

    value: float
    error: float
    power: int

    @property
    def kept(self) -> bool:
        return self.value - 2 * self.error <= self.power + TOLERANCE

    @property
    def verdict(self) -> str:
        if self.power == 2 and self.kept:
            linear = replace(self, power=1)
            return linear.verdict if linear.kept else "linear: NO, attention"
        return f"{('flat', 'linear', 'quadratic')[self.power]}: {'yes' if self.kept else '**NO**'}"

    def __str__(self) -> str:
        return f"{self.value:.2f} ± {self.error:.2f}"


@dataclass(frozen=True)
class Measured:
    """Seconds for each round and point, MiB for each point."""

    curve: Curve
    seconds: list[list[float]]
    memory: list[float]

    @property
    def slopes(self) -> tuple[Slope, Slope]:
        time, space = self.curve.powers
        values = list(self.curve.works)
        return slope(values, self.seconds, time), slope(values, [self.memory], space)

    @property
    def kept(self) -> bool:
        return all(found.kept for found in self.slopes)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how seconds and memory grow.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", metavar="WORD", help="curves with this in their title")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    began, found = perf_counter(), []
    with TemporaryDirectory() as folder:
        for curve in (*drawing(), *training(Path(folder))):
            if asked.only in curve.title:
                found.append(measured(curve, asked.rounds))
                tell(f"{perf_counter() - began:.0f} s: {curve.title}: {', '.join(map(str, found[-1].slopes))}")
    record = as_markdown(asked, found, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if all(one.kept for one in found) else 1)


def drawing() -> Iterator[Curve]:
    for name, network in NETWORKS.items():
        works = {n: Work(network=network, shape=PICTURE, batch=n) for n in COUNTS}
        yield Curve(task="drawing", network=name, axis="batch", held="3 x 32 x 32, 2 steps", works=works)
        works = {n: Work(network=network, shape=PICTURE, steps=n) for n in COUNTS}
        held = "3 x 32 x 32, batch 1"
        yield Curve(task="drawing", network=name, axis="steps", held=held, works=works, powers=(1, 0))
        yield drawing_pixels(name, network, (32, 48, 64, 128, 192, 256, 512))
        yield drawing_frames(name, network)
        yield drawing_length(name, network, 2**14)
    yield drawing_pixels("U-Net small", {**UNET, "size": "small"}, (32, 48, 64, 96, 128, 192, 256))
    yield drawing_frames("U-Net, patch 1 x 4 x 4", {**UNET, "patch": (1, 4, 4)})
    yield drawing_pixels("transformer, patch 4 x 4", {**TRANSFORMER, "patch": 4}, SIDES, ATTENTION)
    yield drawing_frames("transformer, patch 1 x 4 x 4", {**TRANSFORMER, "patch": (1, 4, 4)}, ATTENTION)
    yield drawing_length("transformer, patch 16", {**TRANSFORMER, "patch": 16}, 2**10, ATTENTION)


def drawing_pixels(name: str, network: Section, sides: Sequence[int], powers: tuple[int, int] = LINEAR) -> Curve:
    works, held = {n * n: Work(network=network, shape=(3, n, n)) for n in sides}, "3 channels, batch 1, 2 steps"
    return Curve(task="drawing", network=name, axis="pixels", held=held, works=works, powers=powers)


def drawing_frames(name: str, network: Section, powers: tuple[int, int] = LINEAR) -> Curve:
    works = {n: Work(network=network, shape=(3, n, 32, 32)) for n in COUNTS}
    held = "3 x frames x 32 x 32, batch 1, 2 steps"
    return Curve(task="drawing", network=name, axis="frames", held=held, works=works, powers=powers)


def drawing_length(name: str, network: Section, least: int, powers: tuple[int, int] = LINEAR) -> Curve:
    works, held = {n * least: Work(network=network, shape=(1, n * least)) for n in COUNTS}, "1 channel, batch 1, 2 steps"
    return Curve(task="drawing", network=name, axis="length", held=held, works=works, powers=powers)


def training(folder: Path) -> Iterator[Curve]:
    for name, network in NETWORKS.items():
        works = {n: Work(network=network, shape=PICTURE, batch=n, data=n, folder=folder) for n in COUNTS}
        yield Curve(task="training", network=name, axis="batch", held="3 x 32 x 32, as many in the pack", works=works)
        yield training_pixels(name, network, SIDES, folder)
        grey, counts = (1, 28, 28), (512 * 4**n for n in range(5))
        works = {n: Work(network=network, shape=grey, batch=16, data=n, folder=folder) for n in counts}
        held = "1 x 28 x 28, batch 16"
        yield Curve(task="training", network=name, axis="pictures", held=held, works=works, powers=(0, 0))
    yield training_pixels("transformer, patch 4 x 4", {**TRANSFORMER, "patch": 4}, SIDES[:-1], folder, ATTENTION)


def training_pixels(
    name: str, network: Section, sides: Sequence[int], folder: Path, powers: tuple[int, int] = LINEAR
) -> Curve:
    works = {n * n: Work(network=network, shape=(3, n, n), batch=2, data=2, folder=folder) for n in sides}
    held = "3 channels, batch 2, as many in the pack"
    return Curve(task="training", network=name, axis="pixels", held=held, works=works, powers=powers)


def measured(curve: Curve, rounds: int) -> Measured:
    works = list(curve.works.values())
    return Measured(curve, seconds(works, rounds), [memory(work) for work in works])


def seconds(works: Sequence[Work], rounds: int) -> list[list[float]]:
    """For each round all points in turn, after a round that does not count."""
    ready, found = [work.ready() for work in works], []
    for turn in range(rounds + 1):
        order = range(len(works))[:: (-1) ** turn]
        times = {index: timed(ready[index]) for index in order}
        found.append([times[index] for index in range(len(works))])
    return found[1:]


def timed(work: Callable[[], object]) -> float:
    start = process_time()
    work()
    return process_time() - start


def memory(work: Work) -> float:
    """MiB that the work needs in a process of its own, forked from one that has done nothing but import."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["pellucid.training.loop", "torch._dynamo"])  # which torch's optimisers import
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(grown, work).result()


def grown(work: Work) -> float:
    """MiB of anonymous memory that the work needs at most above what this process has."""
    rank = len(work.shape) - 1
    replace(work, shape=(1, *(8,) * rank), batch=1, steps=1, data=min(work.data, 1)).ready()()
    once = work.ready()
    CDLL(None).malloc_trim(0)  # what was freed would hide what is needed next
    before = anonymous(os.getpid())
    with watched() as most:
        once()
        once()  # gradients of the step before are there until the next backward pass
    return max(most) - before


@contextmanager
def watched() -> Iterator[list[float]]:
    """Anonymous memory in MiB, looked at every few milliseconds."""
    done, seen = Event(), [anonymous(os.getpid())]

    def look() -> None:
        while not done.is_set():
            seen.append(anonymous(os.getpid()))
            sleep(EVERY)

    watcher = Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def slope(values: Sequence[int], rounds: Sequence[Sequence[float]], power: int) -> Slope:
    """Over the larger half of the values, each round with a level of its own."""
    half = len(values) // 2
    x, y = np.log(values[half:]), np.log([figures[half:] for figures in rounds])
    x, y = x - x.mean(), y - y.mean(axis=1, keepdims=True)
    spread = len(y) * float(x @ x)
    found = float((y @ x).sum()) / spread
    rest = float(((y - found * x) ** 2).sum()) / (y.size - len(y) - 1)
    return Slope(found, (rest / spread) ** 0.5, power)


def as_markdown(asked: argparse.Namespace, found: Sequence[Measured], took: float) -> str:
    out = "" if asked.out is None else f" --out {asked.out.name if asked.out.is_absolute() else asked.out.as_posix()}"
    only = f" --only '{asked.only}'" if asked.only else ""
    return "\n".join([
        "# Cost curves",
        "",
        "Nothing grows faster than its axis but the seconds of attention; memory does not grow with steps, nor anything "
        f"with the number of pictures: **{'yes' if all(one.kept for one in found) else 'NO'}**. A slope p means cost ~ "
        "axis^p over the larger half of the points, ± its standard error; 0 is flat, 1 linear. Fixed costs make it smaller.",
        "",
        "| what | network | axis | from | to | seconds | at most | memory | at most |",
        "|---|---|---|---|---|---|---|---|---|",
        *map(summary, found),
        "",
        *(line for note in NOTES for line in (note, "")),
        f"- command: `python benchmarks/costs.py{only}{out}`",
        f"- rounds: {asked.rounds}, interleaved, {torch.get_num_threads()} thread{'s' * (torch.get_num_threads() > 1)}",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {took:.0f} s",
        "",
        "## Points",
        "",
        "Processor seconds of a drawing or of a training step, median and range; MiB above what the process held before.",
        *(line for one in found for line in points(one)),
        "",
    ])


def summary(one: Measured) -> str:
    curve, (first, *_, last) = one.curve, one.curve.works
    cells = [curve.task, curve.network, curve.axis, f"{first:,}", f"{last:,}"]
    cells += [text for found in one.slopes for text in (str(found), found.verdict)]
    return f"| {' | '.join(cells)} |"


def points(one: Measured) -> Iterator[str]:
    """A table with a column for each point."""
    curve, works, columns = one.curve, one.curve.works, list(zip(*one.seconds, strict=True))
    networks: list[Any] = [work.model().denoiser.network for work in works.values()]
    grids = [divide(work.shape[1:], net.patch) for net, work in zip(networks, works.values(), strict=True)]
    rows = {
        curve.axis: [f"{value:,}" for value in works],
        "positions": [f"{prod(grid):,}" for grid in grids],
        "million weights": [f"{sum(weight.numel() for weight in net.parameters()) / 1e6:.2f}" for net in networks],
        "seconds": [f"{median(times):.3g}" for times in columns],
        "range": [f"{min(times):.3g} to {max(times):.3g}" for times in columns],
        "MiB": [f"{value:.3g}" for value in one.memory],
    }
    lines = [f"| {' | '.join((name, *cells))} |" for name, cells in rows.items()]
    yield from ("", f"**{curve.title[0].upper()}{curve.title[1:]}** ({curve.held})", "")
    yield from (lines[0], f"|{'---|' * (len(works) + 1)}", *lines[1:])


if __name__ == "__main__":
    main()
