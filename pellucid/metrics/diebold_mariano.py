"""Whether one forecaster is better than another, or the difference of their scores is chance.

    DM = mean(d) / sqrt(S / T)     d_t the difference of scores at origin t, S its long-run variance

with autocovariances up to lag h - 1 of forecasts h steps ahead, Bartlett weights, which keep S positive (Newey and West
1987, eq. 5), and the correction for few origins of Harvey, Leybourne and Newbold 1997, eq. 9, after which DM is Student's t.
Source: Diebold and Mariano 1995, "Comparing predictive accuracy", section 1.1.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError

LEAST = 8


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Mean scores of both, lower is better, and DM with its degrees of freedom: negative where the first is better."""

    first: float
    second: float
    statistic: float
    freedom: int


def diebold_mariano(first: NDArray[np.float64], second: NDArray[np.float64], *, ahead: int = 1) -> Compared:
    """Of scores (T,) at the same origins in their order.

    Arguments:
        ahead: h, how far forecasts overlap, in origins.

    Raises:
        DataError: other shapes, or too few origins.
    """
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    count = len(first)
    if first.shape != second.shape or first.ndim != 1 or count < max(LEAST, 2 * ahead):
        raise DataError(f"Scores of shape {first.shape} and {second.shape}: expected (T,) of both, T from "
                        f"{max(LEAST, 2 * ahead)}")  # fmt: skip
    difference = first - second
    away = difference - difference.mean()
    lags = range(1, ahead)
    long_run = (away @ away + 2 * sum((1 - lag / ahead) * (away[lag:] @ away[:-lag]) for lag in lags)) / count
    correction = np.sqrt((count + 1 - 2 * ahead + ahead * (ahead - 1) / count) / count)
    statistic = correction * difference.mean() / np.sqrt(long_run / count) if long_run > 0 else 0.0
    return Compared(first=float(first.mean()), second=float(second.mean()), statistic=float(statistic), freedom=count - 1)
