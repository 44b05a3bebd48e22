"""How far results move when something small does: inputs, weights, the kind of data, the seed.

    pellucid train data/fashion-mnist --out RUN --recipe examples/fashion.toml --samples 48000 --set training.held_out=500
    python benchmarks/robustness.py RUN --others digits=FILE emoji=FILE ... --out records/robustness.md

RUN is a run with labels and samples held out. Samples are drawn by the same keys before and after, as the run says, and
compared in pairs: root mean square change on the scale of -1 to 1, and the share whose recognised class is another.
Losses are those of the held-out samples, by `evaluation.held_out`; Fréchet distances are to the data of the run.

Others are sets of pictures that the model does not know, such as digits, emoji and photographs of `pellucid data fetch`,
read at its size and in its channels. What is judged is the toolkit's own measure (`evaluation.outside`): AUC is the
probability that a picture of the other set has a higher loss than one held out, ties by half, with a 95% interval from
resamples of both; flagged is the share with p at most 0.01.

How far seeds lie apart is told of the short runs of recipes in expected.toml, which `recheck.py --learn` measures.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from recheck import Number, read
from resume import machine, tell
from torch import Tensor

from pellucid.core.items import Item
from pellucid.core.random import Key
from pellucid.data.held_out import held_out
from pellucid.evaluation.choose import choose_network
from pellucid.evaluation.held_out import HeldOut
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.outside import TYPICAL, flagged, likeness, losses
from pellucid.evaluation.source import Source, opened
from pellucid.metrics.frechet import frechet_distance, moments
from pellucid.model.model import Model
from pellucid.training.config import NAME, load_config
from pellucid.training.measure import run_data

Floats = NDArray[np.float64]
NOISE = (1e-3, 1e-2, 1e-1)
"""Of the starting noise: x becomes sqrt(1 - a²) x + a times other noise, which keeps its distribution."""
WEIGHTS = (1e-4, 1e-3, 1e-2, 1e-1)
"""Standard deviation of what is added to the weights of a tensor, relative to their root mean square."""
LOSSES, RESAMPLES = 100, 1000
"""Held-out samples whose loss is measured, and resamples of an interval."""


class Shaken(Model):
    """A model whose sampling starts from changed noise."""

    change: Callable[[Tensor], Tensor] = staticmethod(lambda x: x)

    def first(self, *asked: Any, **more: Any) -> Tensor:
        return self.change(super().first(*asked, **more))


@dataclass(frozen=True)
class Bench:
    """What all changes are measured with."""

    source: Source
    network: FeatureNetwork
    ids: NDArray[np.int64]
    real: tuple[Floats, Floats]
    n: int

    @classmethod
    def of(cls, run: Path, source: Source, n: int) -> "Bench":
        config, pack = load_config(run / NAME), source.pack
        network = choose_network("auto", source)
        chosen = source.choose(10_000, 0)
        real = np.concatenate([network.features(block) for block in source.blocks(chosen)])
        held = np.flatnonzero(held_out(len(pack), config.training.held_out or 0, config.seed))[:LOSSES]
        return cls(source, network, held, moments(real, np.ones(len(real))), n)

    def draw(self, model: Model, turn: int = 0) -> Tensor:
        """Samples of all classes, as they would be written; `turn` moves each to the class so many further."""
        names = model.facts.labels
        drawn = model.sample(self.n, label=[names[(i + turn) % len(names)] for i in range(self.n)], batch=50).data
        return model.modality.decode(model.modality.encode(drawn))

    def loss(self, model: Model) -> float:
        return float(HeldOut(pack=self.source.pack, seed=0)(model, self.ids).mean())

    def row(self, what: str, model: Model, before: "Row | None" = None, turn: int = 0) -> "Row":
        """A change measured; before is what was there without it."""
        drawn = self.draw(model, turn)
        features = self.network.features(drawn)
        classes = self.network.recognise(features)
        distance = frechet_distance(*self.real, *moments(features, np.ones(len(features))))
        moved = 0.0 if before is None else float((drawn - before.drawn).square().mean().sqrt())
        other = 0.0 if before is None else float((classes != before.classes).mean())
        found = Row(what, self.loss(model), moved, other, distance, drawn, classes)
        tell(f"{what}: loss {found.loss:.4f}, moved {moved:.4f}, other class {other:.1%}, Fréchet {distance:.2f}")
        return found


@dataclass(frozen=True)
class Row:
    what: str
    loss: float
    moved: float
    other: float
    distance: float
    drawn: Tensor
    classes: NDArray[np.int64]

    def __str__(self) -> str:
        return f"| {self.what} | {self.moved:.2g} | {self.other:.1%} | {self.loss:.4f} | {self.distance:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how far results move when something small does.")
    parser.add_argument("run", type=Path, help="of pictures with labels, some held out")
    parser.add_argument("--others", nargs="*", default=[], metavar="NAME=FILE", help="sets that the model does not know")
    parser.add_argument("-n", type=int, default=200, help="samples drawn, and pictures of each other set")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    began, model = perf_counter(), Model.load(asked.run)
    if not model.facts.labels or not model.card.get(TYPICAL):
        raise SystemExit(f"'{asked.run}' has no labels or nothing held out: train it with training.held_out")
    with opened(run_data(asked.run), model) as source:
        rows = list(changes(Bench.of(asked.run, source, asked.n), model))
    named = [other.partition("=") for other in asked.others]
    apart = [outside(model, name, Path(file), asked.n) for name, _, file in named]
    record = as_markdown(asked, rows, apart, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)


# ---------------------------------------------------------------------------------------------------- inputs and weights


def changes(bench: Bench, model: Model) -> Iterator[Row]:
    """Without a change, then with one at a time."""
    yield (before := bench.row("nothing", model))
    shaken = Shaken(**vars(model))
    for share in NOISE:
        shaken.change = lambda x, share=share: (1 - share**2) ** 0.5 * x + share * other_noise(x)  # type: ignore[misc]
        yield bench.row(f"{share:g} of the starting noise is other noise", shaken, before)
    shaken.change = flipped
    yield bench.row("the starting noise of one pixel has the other sign", shaken, before)
    yield bench.row("the next class is asked for", model, before, turn=1)
    for share in WEIGHTS:
        yield bench.row(f"weights and noise of {share:g} of them", changed(model, noisy(share)), before)
    yield bench.row("weights rounded to bfloat16", changed(model, lambda _, w: w.bfloat16().to(w)), before)
    for bits in (8, 6, 4):
        yield bench.row(f"weights rounded to {bits} bits per output", changed(model, rounded(bits)), before)


def other_noise(x: Tensor) -> Tensor:
    """Of the standard deviation of x, the same whenever it is asked for, for each row another."""
    return float(x.std()) * Key(1, "robustness").normal(range(len(x)), x.shape[1:]).to(x)


def flipped(x: Tensor) -> Tensor:
    """The middle pixel with the other sign."""
    x, (_, _, height, width) = x.clone(), x.shape
    x[:, :, height // 2, width // 2] *= -1
    return x


def changed(model: Model, change: Callable[[int, Tensor], Tensor]) -> Model:
    """A copy whose denoisers' weights are changed, tensor by tensor."""
    copy = deepcopy(model)
    for denoiser in (copy.denoiser, copy.weak):
        for place, weights in enumerate(denoiser.parameters() if denoiser else ()):
            weights.copy_(change(place, weights))
    return copy


def noisy(share: float) -> Callable[[int, Tensor], Tensor]:
    def change(place: int, weights: Tensor) -> Tensor:
        noise = Key(2, "robustness").normal([place], weights.shape)[0].to(weights)
        return weights + share * float(weights.square().mean().sqrt()) * noise

    return change


def rounded(bits: int) -> Callable[[int, Tensor], Tensor]:
    """Whole multiples of a step, for each row of a matrix its own, symmetric about 0; biases and scales stay."""

    def change(_: int, weights: Tensor) -> Tensor:
        if weights.dim() < 2:
            return weights
        step = weights.abs().flatten(1).amax(1).clamp(min=1e-12) / (2 ** (bits - 1) - 1)
        step = step.reshape(-1, *[1] * (weights.dim() - 1))
        return torch.round(weights / step).mul(step)

    return change


# -------------------------------------------------------------------------------------------------------- other sets, seeds


@dataclass(frozen=True)
class Apart:
    name: str
    n: int
    auc: float
    low: float
    high: float
    flagged: float

    def __str__(self) -> str:
        return f"| {self.name} | {self.n} | {self.auc:.3f} | {self.low:.3f} to {self.high:.3f} | {self.flagged:.1%} |"


def outside(model: Model, name: str, file: Path, n: int) -> Apart:
    """How well other pictures are told from those held out."""
    channels, *size = model.facts.shape
    records = model.modality.read(file, size=tuple(size), channels=channels, labels=False)
    items = [record.data for record in records if isinstance(record, Item)]
    stored = np.stack([items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).astype(int))])
    own, other = np.array(model.card[TYPICAL]), losses(model, stored)
    rng = np.random.default_rng(0)
    again = [auc(rng.choice(own, len(own)), rng.choice(other, len(other))) for _ in range(RESAMPLES)]
    p = likeness(model, stored)
    assert p is not None
    low, high = np.quantile(again, (0.025, 0.975))
    found = Apart(name, len(stored), auc(own, other), float(low), float(high), float(flagged(model, p).mean()))
    tell(f"{name}: AUC {found.auc:.3f}, flagged {found.flagged:.1%}")
    return found


def auc(own: Floats, other: Floats) -> float:
    """P(other > own) + P(other = own) / 2, the area under the ROC curve (Mann and Whitney 1947)."""
    own = np.sort(own)
    below, up_to = np.searchsorted(own, other, side="left"), np.searchsorted(own, other, side="right")
    return float((below + up_to).mean() / 2 / len(own))


# ------------------------------------------------------------------------------------------------------------------ record


def as_markdown(asked: argparse.Namespace, rows: Sequence[Row], apart: Sequence[Apart], seconds: float) -> str:
    return "\n".join([
        "# Robustness",
        "",
        f"{asked.n} samples of the same keys before and after a change. Moved is the root mean square change of values in "
        "-1 to 1; another class is the share that the pinned features recognise as something else; the loss is of "
        f"{LOSSES} held-out samples. Fréchet distances of {asked.n} samples compare with each other alone.",
        "",
        "| changed | moved | another class | held-out loss | Fréchet distance |",
        "| --- | --- | --- | --- | --- |",
        *map(str, rows),
        "",
        "Other sets against what was held out, by the loss that `pellucid.evaluation.outside` judges by; of data like the "
        "training data 1% is flagged:",
        "",
        "| set | pictures | AUC | 95% interval | flagged |",
        "| --- | --- | --- | --- | --- |",
        *map(str, apart),
        "",
        "Recipes trained for the samples named, with other seeds of weights, noise and order at once: mean and standard "
        "deviation, and where 95% of other seeds lie (benchmarks/expected.toml, by `benchmarks/recheck.py --learn`):",
        "",
        "| recipe | samples | figure | spread | 95% |",
        "| --- | --- | --- | --- | --- |",
        *(_of_seeds(number) for number in read() if number.check == "recipe" and number.learned),
        "",
        f"- command: `python benchmarks/robustness.py RUN --others ... -n {asked.n}`; RUN: "
        "`pellucid train data/fashion-mnist --recipe examples/fashion.toml --samples 48000 --set training.held_out=500`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {seconds:.0f} s, short runs that were known already not among it",
        "",
    ])


def _of_seeds(number: Number) -> str:
    own, between = number.settings, f"{number.low:.4g} to {number.high:.4g}"
    return f"| {own['name']} | {own['samples']:,} | {own['metric']} | {number.spread} | {between} |"


if __name__ == "__main__":
    main()
