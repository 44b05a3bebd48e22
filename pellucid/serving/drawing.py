"""What a request asks of a model, and the samples of many such requests at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, UserError
from pellucid.denoisers.denoiser import Cond
from pellucid.modalities.series import Series
from pellucid.modalities.text import Text
from pellucid.model.assemble import assemble_sampler
from pellucid.model.model import JOURNEY_SAMPLES, Model
from pellucid.model.samples import Samples

LONGEST = 1000
"""Steps, at most."""
MOST = 256
"""Samples that are tried at once when the best batch is looked for."""
TRIED = 2
"""Steps of those trials."""
ENOUGH = 0.97
"""Of the best rate of samples: a smaller batch that has it answers sooner."""
PICTURED, LISTED = 2**26, 2**23
"""Numbers in all frames of a journey that is shown by pictures, and of one that is told in numbers or tokens."""
WORTH = 0.9
"""Of the best rate: what a batch must have at least where smaller ones keep the network at work."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Asked:
    """Samples by their conditions, seed and way of sampling.

    Attributes:
        cond: a row for each sample.
        settings: of `Model.sample`.
        journey: whether noise becoming data is to be kept.
    """

    n: int
    seed: int
    cond: Cond
    settings: dict[str, Any] = field(default_factory=dict)
    negative: str | None = None
    journey: bool = False

    @property
    def key(self) -> str:
        """Those of equal keys can be made together."""
        return json.dumps([self.settings, self.negative, self.journey], sort_keys=True)

    @property
    def size(self) -> int:
        """Bytes that it holds while it waits."""
        return sum(values.nbytes for values in self.cond.values())

    @property
    def most(self) -> int | None:
        """How many can be made at once."""
        return JOURNEY_SAMPLES if self.journey else None


@dataclass(frozen=True, kw_only=True)
class Made:
    """One sample, (1, C, *space), how it came to be, and what it took."""

    data: Tensor
    journey: tuple[Tensor, ...]
    label: str | None
    nfe: int


def ask(
    model: Model, *, n: int, seed: int, label: Any = None, prompt: Any = None, negative: str | None = None,
    known: Tensor | None = None, journey: bool = False, **settings: Any,
) -> Asked:  # fmt: skip
    """What is asked for, all of it tried but the sampling itself.

    Raises:
        UserError: as `Model.sample` would.
    """
    cond = model.condition(n, label=label, caption=prompt, given=known)
    settings = {name: value for name, value in settings.items() if value is not None}
    _, config = model.settle(cond, negative, **settings)
    if not 1 <= int(config["steps"]) <= LONGEST:
        raise ConfigError(f"steps = {config['steps']}: expected 1 to {LONGEST:,}")
    assemble_sampler(config, model.denoiser.process.schedule)
    if journey:
        check_journey(model, n, int(config["steps"]))
    settings["guidance"] = config["guidance"]
    return Asked(n=n, seed=seed, cond=cond, settings=settings, negative=negative, journey=journey)


def check_journey(model: Model, n: int, steps: int) -> None:
    """Refuse one that would take too much memory."""
    numbers, most = prod(model.facts.shape), LISTED if isinstance(model.modality, Series | Text) else PICTURED
    if (whole := n * (steps + 1) * numbers) > most:
        raise ConfigError(f"journey with n = {n}, steps = {steps}: {n} x {steps + 1} frames of {numbers:,} are {whole:,} "
                          f"numbers, expected {most:,} at most: ask for fewer samples or steps, or no journey")  # fmt: skip


def draw(model: Model, rows: Sequence[tuple[Asked, int]], tell: Callable[[int, int], None]) -> list[Made]:
    """The samples of (asked, place) pairs of one key, each as it would be made alone."""
    first = rows[0][0]
    names = {name: None for asked, _ in rows for name in asked.cond}
    cond = {name: torch.cat([_row(model, asked, place, name) for asked, place in rows]) for name in names}
    made = model.sample(
        len(rows), cond=cond, keys=[(asked.seed, place) for asked, place in rows], negative=first.negative,
        batch=len(rows), journey=first.journey, progress=tell, **first.settings,
    )  # fmt: skip
    if not bool(made.data.isfinite().all()):
        raise UserError("The samples are not numbers: too strong a guidance, or a model whose training went wrong")
    labels = made.labels or [None] * len(rows)
    return [
        Made(data=made.data[at : at + 1], journey=tuple(frame[at : at + 1] for frame in made.journey), nfe=made.nfe,
             label=labels[at] or None)
        for at in range(len(rows))
    ]  # fmt: skip


def _row(model: Model, asked: Asked, place: int, name: str) -> Tensor:
    """One row of `cond`, which asks for nothing where the request did not."""
    return asked.cond[name][place : place + 1] if name in asked.cond else model.conditioners[name].null(1)


def together(model: Model, asked: Asked, made: Sequence[Made], seconds: float) -> Samples:
    """The samples of one request."""
    labels = tuple(one.label or "" for one in made)
    return Samples(
        data=torch.cat([one.data for one in made]), modality=model.modality, seed=asked.seed, nfe=made[0].nfe,
        seconds=seconds, labels=labels if any(labels) else None,
        journey=[torch.cat(frames) for frames in zip(*(one.journey for one in made), strict=True)],
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How many samples at once pay.

    Attributes:
        rows: the least that have nearly the best rate.
        least: the least that are still worth it.
        seconds: of a network call with `rows`.
    """

    rows: int
    least: int
    seconds: float


def best_batch(model: Model, most: int = MOST) -> Pace:
    """Measured on this machine, by the time that a few steps take."""
    nothing = {name: one.null(1) for name, one in model.conditioners.items()}
    asked = Asked(n=1, seed=0, cond=nothing, settings={"guidance": 1.0, "steps": TRIED})
    seconds, rows = dict[int, float](), 1
    while rows <= most:
        seconds[rows] = min(_seconds(model, asked, rows) for _ in range(3))
        rates = {count: count / taken for count, taken in seconds.items()}
        if len(rates) > 2 and rates[rows] < ENOUGH * max(rates.values()):
            break
        rows *= 2
    best, least = (
        next(count for count, rate in rates.items() if rate >= share * max(rates.values())) for share in (ENOUGH, WORTH)
    )
    return Pace(rows=best, least=least, seconds=seconds[best])


def _seconds(model: Model, asked: Asked, rows: int) -> float:
    began = perf_counter()
    calls = draw(model, [(asked, 0)] * rows, lambda _done, _whole: None)[0].nfe
    return (perf_counter() - began) / calls
