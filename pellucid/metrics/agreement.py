"""Share of samples whose predicted class is the one that was asked for, with Wilson's interval.

    p = k/n,    centre = (p + z²/2n) / (1 + z²/n),    reach = z sqrt(p (1 - p)/n + z²/4n²) / (1 + z²/n)

Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; unlike p ± z s it stays within
[0, 1] and is right for shares near 0 and 1.
"""

from math import sqrt
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.metrics.result import Result


def agreement(
    asked: NDArray[Any], predicted: NDArray[Any], *, floor: float | None = None, level: float = 0.95
) -> Result:
    """How often `predicted` (N,) equals `asked` (N,).

    Arguments:
        floor: the same share on real data, the classifier's accuracy; a perfect model would reach it.
        level: confidence of the interval.

    Raises:
        DataError: not two rows of equal length, or empty ones.
    """
    asked, predicted = np.asarray(asked), np.asarray(predicted)
    if asked.ndim != 1 or asked.shape != predicted.shape or not len(asked):
        raise DataError(f"Asked classes have shape {asked.shape}, predicted ones {predicted.shape}; expected (N,) twice")
    agreed, n = int((asked == predicted).sum()), len(asked)
    low, high = wilson(agreed, n, level)
    return Result(value=agreed / n, low=low, high=high, floor=floor, n=n)


def wilson(k: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """The interval for a share of which `k` of `n` were seen.

    >>> [round(end, 4) for end in wilson(8, 10)]
    [0.4902, 0.9433]
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    p, scale = k / n, 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / scale
    reach = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / scale
    return max(0.0, centre - reach), min(1.0, centre + reach)
