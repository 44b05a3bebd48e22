"""How much work a sample is given: settings of sampling chosen from the quality-cost curve that was measured of a model.

    value(settings), calls(settings)    of each point of the curve, `evaluation.cost_curve`
    seconds = n calls (seconds of one call for one sample, measured on this machine before sampling)
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Self

import torch

from pellucid.core.errors import ConfigError
from pellucid.core.random import Keyed
from pellucid.model.assemble import assemble_sampler, guided
from pellucid.model.config import Section
from pellucid.model.model import Model

CURVE = "curve"
"""Its place in a model's card."""
MOST_STEPS = 50
"""Taken within a time where nothing was measured."""
SPARE = 1.1
"""What sampling takes over its network calls."""
BEST = "best"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One way to sample, what it costs and how good it is.

    Attributes:
        settings: `sampler`, `grid`, `steps`, `guidance`, `against`, as `Model.sample` takes them.
        calls: of the network, for a sample.
        value, low, high: the distance to real data and its interval.
    """

    settings: Section
    calls: int
    value: float
    low: float
    high: float

    @classmethod
    def of(cls, model: Model) -> list[Self]:
        """Those in a model's card, cheapest first."""
        points = (cls(**one) for one in model.card.get(CURVE, {}).get("points", ()))
        return sorted(points, key=lambda point: (point.calls, point.value))

    def as_card(self) -> dict[str, Any]:
        """As the card holds it."""
        return asdict(self)

    def suits(self, model: Model, conditional: bool) -> bool:
        """Whether it can be used as asked for: guidance away from nothing needs something to be guided to."""
        plain = float(self.settings["guidance"]) == 1 or (self.settings["against"] == "weak" and model.weak is not None)
        return plain or (conditional and self.settings["against"] == "null")


def front(points: list[Point]) -> list[Point]:
    """Those better than all that cost no more, cheapest first."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.calls, point.value)):
        if not kept or point.value < kept[-1].value:
            kept.append(point)
    return kept


def choose(
    model: Model, n: int, *, within: float | None = None, quality: str | None = None, conditional: bool = False,
    batch: int = 64,
) -> Section:  # fmt: skip
    """Settings of `Model.sample`: the best there are, or the best that take `within` seconds for n samples.

    Arguments:
        quality: "best", or None.
        conditional: whether a label or a prompt is asked for.

    Raises:
        ConfigError: no time for anything, or nothing known to choose from.
    """
    if (within is None) == (quality is None):
        raise ConfigError("Give a time or a quality, one of them: within = 10, or quality = 'best'")
    points = [point for point in Point.of(model) if point.suits(model, conditional)]
    if within is None:
        if quality != BEST:
            raise ConfigError(f"quality = '{quality}': expected '{BEST}'; for less, give a time")
        if not points:
            raise ConfigError("Nothing is known yet of how quality grows with work: measure it once with "
                              "`pellucid evaluate MODEL --curve`, or give the number of steps")
        return min(points, key=lambda point: point.value).settings
    if not 0 < within < float("inf"):
        raise ConfigError(f"within = {within:g}: expected seconds, more than 0")
    each = SPARE * seconds_per_call(model, min(n, batch), conditional=conditional)
    if points:
        return _fitting({point.calls: point.settings for point in front(points)}, within, n, each)
    return _fitting(dict(_plain(model, conditional)), within, n, each)


def _fitting(ways: Mapping[int, Section], within: float, n: int, each: float) -> Section:
    """The way with the most calls that fit."""
    affordable = [calls for calls in ways if n * calls * each <= within]
    if not affordable:
        least = n * min(ways) * each
        raise ConfigError(f"within = {within:g} s: the least that is known takes about {least:.2g} s for n = {n:,} here. "
                          "Ask for fewer, or give more time")
    return ways[max(affordable)]


def _plain(model: Model, conditional: bool) -> list[tuple[int, Section]]:
    """The model's own way to sample in more and more steps, by what they cost."""
    found = []
    for steps in range(1, MOST_STEPS + 1):
        settings = model.sampling(steps=steps)
        if not conditional and settings["against"] == "null":
            settings["guidance"] = 1.0
        found.append((calls(model, settings, conditional), {"steps": steps}))
    return found


def calls(model: Model, settings: Section, conditional: bool) -> int:
    """Network calls for a sample, at most."""
    sampler, _ = assemble_sampler(settings, model.denoiser.process.schedule)
    return sampler.nfe(settings["steps"]) * guided(model.denoiser, settings, model.weak).calls(0.5, conditional)


@torch.no_grad()
def seconds_per_call(model: Model, rows: int, *, conditional: bool = False) -> float:
    """Of one network call for one sample, where `rows` are made at once; the second of two calls, the first warms up."""
    x = model.first(Keyed(0, range(rows)), torch.ones((), dtype=torch.float64))
    cond = {name: one.null(rows) for name, one in model.conditioners.items()} if conditional else None
    for _ in range(2):
        start = perf_counter()
        model.denoiser(x, torch.ones((), dtype=torch.float64), cond)
    return (perf_counter() - start) / rows

