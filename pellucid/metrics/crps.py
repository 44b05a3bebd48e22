"""The continuous ranked probability score of forecasts given as draws: the absolute error of a whole distribution.

    CRPS = mean_i |x_i - y| - 1/2 mean_ij |x_i - x_j|

In the units of y; for a single draw it is |x - y|. Source: Gneiting and Raftery 2007, "Strictly proper scoring rules", eq.
21. With the mean over i != j the figure does not depend on how many draws there are (Ferro 2014, "Fair scores", eq. 4).
"""

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError

Array = NDArray[np.float64]


def crps(draws: Array, truth: Array, *, fair: bool = True) -> Array:
    """Of draws (n, ...) and what came (...), element by element; NaN where that is missing.

    Arguments:
        fair: whether a draw is compared with the others alone, for which it takes two.

    Raises:
        DataError: shapes that do not fit, or too few draws.
    """
    draws, truth = np.asarray(draws, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    n = len(draws)
    if draws.shape[1:] != truth.shape or n < 1 + fair:
        raise DataError(f"Draws of shape {draws.shape} do not fit what came, {truth.shape}; expected (n, *shape), n from "
                        f"{1 + fair}")  # fmt: skip
    ranks = (2 * np.arange(1, n + 1) - n - 1).reshape(-1, *[1] * truth.ndim)
    spread = (ranks * np.sort(draws, axis=0)).sum(0) / (n * (n - 1 if fair else n))
    return np.asarray(np.abs(draws - truth).mean(0) - spread)
