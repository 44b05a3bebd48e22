"""Whether a run still learns, in one word, by samples that it is not trained on beside samples that it is.

    learning    the held-out loss falls
    flat        it fell by less than 1% while the samples seen doubled
    memorising  it rises while that of training samples does not, or these have come more than half of the way from it to the
                loss of whoever knows them by heart (see `evaluation.limits`)

The losses are those of the averaged weights, so they fall further while the learning rate does. Nothing of this is
remembered in checkpoints, nor moves training: a run that resumes reads its log.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.data.pack import Pack
from pellucid.evaluation.held_out import HeldOut, measurable
from pellucid.evaluation.history import History
from pellucid.evaluation.limits import by_heart
from pellucid.evaluation.outside import losses as surprises
from pellucid.model.model import Model
from pellucid.training.config import RunConfig
from pellucid.training.journal import Journal
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

EVENT, REACHED = "held out", "reached"
POINTS, SHARE = 24, 0.05
"""Equal parts of training, after each of which it is measured while that takes no more than such a share of the time."""
QUICK = 32
"""Samples of either kind that are measured on the way."""
SECONDS = 5.0
"""For the loss of whoever knows training samples by heart, once."""
FLAT, HALF, SURE = 0.01, 0.5, 2.0
"""A fall that counts as none; the share of the way that counts as memorised; standard errors by which a rise is one."""

Losses = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Point:
    """Losses of single samples, held out and trained on, after so many samples of training."""

    samples: int
    held_out: Losses
    trained: Losses


def word(points: Sequence[Point], heart: float | None) -> str:
    """What the points of a run, in their order, say; nothing before there are two.

    Arguments:
        heart: the mean loss of whoever knows the training samples by heart; None where it is not known.
    """
    if len(points) < 2:
        return ""
    last = points[-1]
    held, trained = float(last.held_out.mean()), float(last.trained.mean())
    best = min(points, key=lambda point: float(point.held_out.mean()))
    rise = last.held_out - best.held_out
    risen = rise.mean() > SURE * rise.std(ddof=1) / len(rise) ** 0.5 and trained <= best.trained.mean()
    way = (held - trained) / (held - heart) if heart is not None and held > heart else 0.0
    if (len(rise) > 1 and risen) or way > HALF:
        return "memorising"
    half = [point for point in points if 2 * point.samples <= last.samples]
    return "flat" if half and half[-1].held_out.mean() - held < FLAT * held else "learning"


@dataclass(eq=False, kw_only=True)
class Standing:
    """Measures a run on its way.

    Arguments:
        held_out, trained: the ids of samples that are not, and that are trained on.
        log: of the run, which is read when it resumes.
    """

    model: Model
    pack: Pack
    held_out: NDArray[np.int64]
    trained: NDArray[np.int64]
    seed: int
    log: Path
    points: list[Point] = field(default_factory=list)
    heart: float | None = None
    spent: float = 0.0
    cost: float = 0.0

    def __post_init__(self) -> None:
        for event in History.read(self.log).kind(EVENT):
            values = {name: np.array(event[name], dtype=np.float64) for name in ("held_out", "trained")}
            self.points.append(Point(samples=int(event["samples"]), **values))
            self.heart = event.get("by_heart")

    def look(self, state: TrainingState) -> dict[str, Any] | None:
        """Measure if it is time: what the log should say."""
        due = state.plan.total is not None and len(self.points) + 1 <= POINTS * state.plan.progress(state.seen)
        return self.measure(state) if due and self.spent + self.cost <= SHARE * state.plan.elapsed else None

    def measure(self, state: TrainingState) -> dict[str, Any]:
        """Measure now, with the averaged weights."""
        began, measure = perf_counter(), HeldOut(pack=self.pack, seed=self.seed)
        held, trained = (_some(ids) for ids in (self.held_out, self.trained))
        with state.as_averaged():
            point = Point(samples=state.seen, held_out=measure(self.model, held).numpy(),
                          trained=measure(self.model, trained).numpy())  # fmt: skip
            if not self.points:
                whole = state.plan.elapsed / max(state.plan.progress(state.seen), 1 / POINTS)
                found = by_heart(self.model, self.pack, trained, seed=self.seed, seconds=min(SECONDS, SHARE * whole))
                self.heart = None if found is None else float(found.mean())
        self.points.append(point)
        state.word = word(self.points, self.heart)
        self.cost = perf_counter() - began
        self.spent += self.cost
        return {"held_out": _rounded(point.held_out), "trained": _rounded(point.trained), "by_heart": self.heart,
                "word": state.word}  # fmt: skip


    def end(self, state: TrainingState, journal: Journal) -> list[float]:
        """Measure once more, and then all that is held out: the mean loss and its standard error. Returns the losses of all,
        rising, with nothing said of labels and captions.
        """
        journal.write(EVENT, state.seen, **self.measure(state))
        with state.as_averaged():
            losses = HeldOut(pack=self.pack, seed=self.seed)(self.model, self.held_out).numpy()
            untold = surprises(self.model, self.pack[self.held_out][0])
        error = float(losses.std(ddof=1)) / len(losses) ** 0.5 if len(losses) > 1 else 0.0
        journal.write(
            REACHED, state.seen, loss=float(losses.mean()), standard_error=error, n=len(losses), word=state.word
        )
        return _rounded(np.sort(untold))


def standing_of(config: RunConfig, model: Model, prepared: Prepared, log: Path) -> Standing | None:
    """Of a run that holds something out, and whose model has such a loss."""
    held = prepared.held_out(config)
    if not held.any() or not measurable(model):
        return None
    return Standing(
        model=model, pack=prepared.pack, held_out=np.flatnonzero(held), trained=np.flatnonzero(~held), seed=config.seed,
        log=log,
    )  # fmt: skip


def _some(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most QUICK, evenly spread."""
    return ids[np.unique(np.linspace(0, len(ids) - 1, min(QUICK, len(ids))).astype(np.int64))]


def _rounded(losses: Losses) -> list[float]:
    return [float(f"{loss:.5g}") for loss in losses]
