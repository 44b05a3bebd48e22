"""A model's error at each noise level, beside the least that is possible on its training data.

    loss(log_snr)  = E|D(x_t, t, cond) - x0|²,    floor(log_snr) = E|E[x0 | x_t] - x0|²

per element, x0 from the training data and the same x_t for both. The floor's expectation knows every training sample and
nothing else (Karras et al. 2022, eq. 57): no denoiser has less error on them, and one that comes down to it where the noise
no longer hides which of them is meant has memorised them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.conditioners.reader import Reader
from pellucid.core.random import Keyed
from pellucid.core.shapes import mean_per_sample
from pellucid.data.order import stream
from pellucid.data.pack import Pack
from pellucid.evaluation.floor import exact_mean
from pellucid.model.model import Model

LEVELS, WIDEST = 24, 10.0
"""Levels, evenly spaced in log-SNR over the part of the schedule's range that lies within ± this."""
ROUND, MOST = 8, 256
"""Samples measured at every level in one pass over the data, and in all."""
PIECE = 500_000
"""Values of the data set in memory at a time."""
SHORTEST = 5.0
"""Seconds that the floor of one round may take even if fewer are given."""
HIDDEN = 2.0
"""Effective number of points from which on the noise hides which training sample is meant."""

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Errors per element at rising log-SNR, as they are logged.

    Attributes:
        log_snr, loss, error: (L,) the levels, the model's error there, and its standard error.
        floor: (L,) the least error; None where it is not known: noise that is not Gaussian, or too much data for the time.
        points: (L,) effective number of training samples behind a noisy one, the geometric mean; None likewise.
        n: samples at each level.
    """

    log_snr: Array
    loss: Array
    error: Array
    floor: Array | None
    points: Array | None
    n: int

    @property
    def hidden_below(self) -> float | None:
        """The log-SNR up to which the noise hides which training sample is meant; None if it never does or not known."""
        if self.points is None or not (self.points >= HIDDEN).any():
            return None
        return float(self.log_snr[self.points >= HIDDEN].max())

    @property
    def above_floor(self) -> float | None:
        """By what share the model's error exceeds the floor where samples are hidden: what is left to be learned."""
        if self.floor is None or self.points is None or self.hidden_below is None:
            return None
        hidden = self.log_snr <= self.hidden_below
        return float(self.loss[hidden].sum() / self.floor[hidden].sum() - 1)

    def as_event(self) -> dict[str, Any]:
        """As it stands in a run's log."""
        curves = {name: getattr(self, name) for name in ("log_snr", "loss", "error", "floor", "points")}
        lists = {name: None if values is None else values.tolist() for name, values in curves.items()}
        return {**lists, "n": self.n, "hidden_below": self.hidden_below, "above_floor": self.above_floor}


def measure_levels(model: Model, pack: Pack, *, seconds: float = 10.0, seed: int = 0) -> Levels:
    """Measure `model` on the data it was trained on; a model of captions, which tell nearly all, without the floor.

    Arguments:
        seconds: rounds of a few samples follow each other for about this long; the first one is always finished.
        seed: of the noise and of the choice of samples.
    """
    start, rounds, with_floor = perf_counter(), [], model.denoiser.process.gaussian and not model.facts.captions
    times = _times(model)
    for first in range(0, min(MOST, len(pack)), ROUND):
        began = perf_counter()
        ids = stream(seed, len(pack), first, min(ROUND, len(pack) - first))
        rounds.append(_round(model, pack, ids, times, seed, max(SHORTEST, seconds) if with_floor else 0.0))
        with_floor = len(rounds[-1]) == 3
        if 2 * perf_counter() - began - start > seconds:  # another round as long as this one would be too long
            break
    loss, *exact = (torch.cat(found, 1).numpy() for found in zip(*rounds, strict=True))
    floor, points = (exact[0].mean(1), np.exp(np.log(exact[1]).mean(1))) if exact else (None, None)
    return Levels(
        log_snr=model.denoiser.process.schedule.log_snr(times).numpy(), loss=loss.mean(1),
        error=loss.std(1, ddof=1) / np.sqrt(loss.shape[1]) if loss.shape[1] > 1 else np.full(len(loss), np.nan),
        floor=floor, points=points, n=loss.shape[1],
    )  # fmt: skip


def _times(model: Model) -> Tensor:
    """From noise to data; fewer than asked for where a process has fewer levels."""
    process, one = model.denoiser.process, torch.ones((), dtype=torch.float64)
    low = max(-WIDEST, float(process.schedule.log_snr(one)))
    wanted = torch.linspace(low, max(low, WIDEST), LEVELS, dtype=torch.float64)
    snapped = process.snap(process.schedule.time_at(wanted))
    return torch.from_numpy(np.unique(snapped.numpy())[::-1].copy())


@torch.no_grad()
def _round(
    model: Model, pack: Pack, ids: NDArray[np.int64], times: Tensor, seed: int, seconds: float
) -> tuple[Tensor, ...]:
    """Errors of the model (L, B) and, if there is time, of the exact mean, and its effective numbers of points."""
    process, labelled = model.denoiser.process, bool(model.facts.labels)
    x0, labels = _latent(model, pack, ids)
    cond = {"label": labels} if labelled else {}
    caption = model.conditioners.get("caption")
    if isinstance(caption, Reader):
        cond["caption"] = caption.encode([(*pack.captions(sample), "")[0] for sample in ids.tolist()])
    draws = Keyed(seed, ids)
    noisy, means = [], []
    for level, t in enumerate(times):
        eps = process.noise(draws, "levels", level, x0.shape[1:], t)
        noisy.append(process.corrupt(x0, t, eps))
        means.append(model.denoiser(noisy[-1], t, cond).mean)
    x_t, clean = torch.cat(noisy), x0.repeat(len(times), *[1] * (x0.ndim - 1)).cpu().double()

    def error(mean: Tensor) -> Tensor:
        return mean_per_sample((mean.cpu().double() - clean) ** 2).reshape(len(times), -1)

    pieces = Pieces(model, pack, seconds)
    t = times.repeat_interleave(len(ids))
    exact, points = exact_mean(x_t.cpu(), t, process.schedule, pieces, labels.repeat(len(times)) if labelled else None)
    found = error(torch.cat(means))
    return (found, error(exact), points.reshape(len(times), -1)) if pieces.complete else (found,)


@dataclass
class Pieces:
    """The data set piece by piece, given up as soon as all of them would take longer than `seconds`."""

    model: Model
    pack: Pack
    seconds: float
    complete: bool = False

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        size, start = max(1, PIECE // prod(self.pack.shape)), 0.0
        for first in range(0, len(self.pack), size):
            rate = (perf_counter() - start) / (first - size) if first > size else 0.0  # of all but the first: it warms up
            if self.seconds <= 0 or rate * len(self.pack) > self.seconds:
                return
            points, labels = _latent(self.model, self.pack, np.arange(first, min(first + size, len(self.pack))))
            yield points.cpu(), labels
            start = start or perf_counter()
        self.complete = True


def _latent(model: Model, pack: Pack, ids: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Samples in the space that is diffused, and their labels."""
    stored, labels = pack[ids]
    return model.codec.encode(model.modality.decode(stored).to(model.device, model.dtype)), torch.from_numpy(labels)
