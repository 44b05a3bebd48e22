"""One axis of a chart: from numbers to places in [0, 1], with round ticks, linear or logarithmic."""

from dataclasses import dataclass
from math import ceil, floor, isclose, log10
from typing import Self

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """Its ends and its scale.

    Arguments:
        low, high: the ends, low < high; both above 0 if `log`.
        log: whether equal ratios are equally long.
    """

    low: float
    high: float
    log: bool = False

    @classmethod
    def around(cls, values: Array, *, log: bool = False, zero: bool = False, margin: float = 0.0) -> Self:
        """The axis that shows all finite values.

        Arguments:
            log: wished for; granted if all values are above 0.
            zero: whether 0 must show.
            margin: left at either end, as a share of the length; none below a 0 at the end.
        """
        values = values[np.isfinite(values)]
        low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
        log = log and low > 0
        if isclose(low, high, rel_tol=1e-9, abs_tol=1e-300):
            low, high = (low / 2, high * 2) if log else (low - (abs(low) / 2 or 0.5), high + (abs(high) / 2 or 0.5))
        if log:
            factor = (high / low) ** margin
            return cls(low=low / factor, high=high * factor, log=True)
        if zero:
            low, high = min(0.0, low), max(0.0, high)
        reach = margin * (high - low)
        return cls(low=low - reach if low else 0.0, high=high + reach)

    def place(self, values: Array) -> Array:
        """Where values lie: 0 at the low end, 1 at the high one; on a log axis NaN for values at or below 0."""
        if self.log:
            shares: Array = np.log(np.where(values > 0, values, np.nan) / self.low) / np.log(self.high / self.low)
            return shares
        return (values - self.low) / (self.high - self.low)

    def ticks(self, about: int = 5) -> list[float]:
        """Round numbers within the ends: 1, 2, 5 times powers of ten; powers alone where a log axis spans many."""
        if self.log and self.high / self.low > 5:
            return self._log_ticks(about)
        step = _round_step((self.high - self.low) / about)
        first, last = ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9)
        return [float(f"{i * step:.12g}") for i in range(first, last + 1)]

    def _log_ticks(self, about: int) -> list[float]:
        first, last = floor(log10(self.low)), ceil(log10(self.high))
        for digits, every in (((1, 2, 5), 1), ((1, 3), 1), *(((1,), every) for every in range(1, last - first + 1))):
            ticks = [digit * 10.0**power for power in range(first, last + 1, every) for digit in digits]
            ticks = [tick for tick in ticks if self.low <= tick <= self.high]
            if len(ticks) <= about + 2:
                break
        return ticks


def _round_step(rough: float) -> float:
    power = 10.0 ** floor(log10(rough))
    return next((digit * power for digit in (1, 2, 5) if digit * power >= rough), 10 * power)
