"""What a run will come to, before it is started: its held-out loss, with an interval, from runs that were recorded.

Of a run of D samples in batches of B with a network of N parameters, and the loss L₀ of a linear denoiser on its data,

    log(L / L₀) = a + b · (x, z, w),    x = (D / 10⁴)^(-3/4), z = log(N / 10⁶), w = log(B / 64)

a power law of D that levels off, as losses do (Hestness et al. 2017; the exponent is that of five which told left-out runs
best), with b common to all data sets and an intercept a of each, so that a new one's lies where those of the others do: the
interval is Student's, of a, of its spread between data sets, of what single runs differ by, and of the few samples by which
a loss is measured, as far as those of the linear denoiser differ. The coefficients stand in expected.toml;
benchmarks/scaling.py fits them (records/scaling.md).
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from math import exp, hypot, log
from pathlib import Path
from typing import Self

TABLE = Path(__file__).with_name("expected.toml")
COVERED = 0.8
"""The share of new data sets whose loss the interval is to hold."""


@dataclass(frozen=True, kw_only=True)
class Law:
    """Of one kind of data.

    Attributes:
        intercept, slopes: a, the mean over data sets, and b.
        spread: standard deviation of a new data set's log(L / L₀) around that.
        quantile: of Student's distribution, by which the interval reaches to either side of the middle.
    """

    intercept: float
    slopes: tuple[float, ...]
    spread: float
    quantile: float

    def middle(self, samples: float, parameters: float, batch: int) -> float:
        """log(L / L₀)."""
        terms = zip(self.slopes, features(samples, parameters, batch), strict=True)
        return self.intercept + sum(slope * value for slope, value in terms)


@dataclass(frozen=True, kw_only=True)
class Expected:
    """A held-out loss as it is expected, the ends of its interval, and that of a linear denoiser."""

    loss: float
    low: float
    high: float
    linear: float

    @classmethod
    def of(cls, law: Law, linear: float, samples: float, parameters: float, batch: int, *, error: float = 0.0) -> Self:
        """Of a run whose loss will be measured with a relative standard error, which widens the interval."""
        middle, reach = law.middle(samples, parameters, batch), law.quantile * hypot(law.spread, error)
        loss, low, high = (linear * exp(middle + off) for off in (0.0, -reach, reach))
        return cls(loss=loss, low=low, high=high, linear=linear)


def features(samples: float, parameters: float, batch: float) -> tuple[float, ...]:
    """Of a run, whose slopes are common to all data sets."""
    return (samples / 1e4) ** -0.75, log(parameters / 1e6), log(batch / 64)


@cache
def laws() -> dict[str, Law]:
    """By kind of data; of others no runs are recorded yet, and nothing is expected."""
    if not TABLE.is_file():
        return {}
    tables = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return {name: Law(**{**table, "slopes": tuple(table["slopes"])}) for name, table in tables.items()}
