"""Kernel distance: the unbiased squared maximum mean discrepancy under a cubic kernel.

    k(x, y) = (x·y / F + 1)³
    MMD²    = mean_{i≠j} k(r_i, r_j) + mean_{i≠j} k(g_i, g_j) - 2 mean_{i,j} k(r_i, g_j)

Source: Bińkowski et al. 2018, "Demystifying MMD GANs", section 4; the estimator is Gretton et al. 2012, "A kernel
two-sample test", eq. 3. Its expectation is 0 for equal distributions at every N, so it may be negative. It is taken here
over the whole sets, where the paper averages over subsets of 1,000: the same expectation, less spread. In a resample,
pairs of copies of one sample are left out like the diagonal, which keeps it unbiased.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.metric import Metric

Array = NDArray[np.float64]
NUMBERS = 1 << 20  # of a kernel matrix held at a time


@dataclass(frozen=True, kw_only=True)
class Kernel(Metric):
    """MMD² with the cubic kernel; without units of its own. Memory grows with N, not N²; time with N²."""

    @classmethod
    def example(cls) -> Self:
        return cls(resamples=10)

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        every = np.ones((1, len(real)))
        across: Array = _sums(generated, real, counts, every) / (counts.sum(1) * len(real))
        return _mean_of_pairs(generated, counts) + _mean_of_pairs(real, every) - 2 * across


def _mean_of_pairs(x: Array, counts: Array) -> Array:
    """Mean of k over ordered pairs of two different samples, each weighted by its counts: (R, N) -> (R,)."""
    squares = np.square(counts)
    alone = squares @ _kernel(np.square(x).sum(1), x.shape[1])
    mean: Array = (_sums(x, x, counts, counts) - alone) / (counts.sum(1) ** 2 - squares.sum(1))
    return mean


def _sums(x: Array, y: Array, counts_x: Array, counts_y: Array) -> Array:
    """Sum over i, j of counts_x[r, i] k(x_i, y_j) counts_y[r, j], for each r; a single row of counts_y serves for all."""
    total: Array = np.zeros(len(counts_x))
    step = max(1, NUMBERS // len(y))
    for start in range(0, len(x), step):
        block = slice(start, start + step)
        rows = _kernel(x[block] @ y.T, x.shape[1]) @ counts_y.T
        total = total + (counts_x[:, block] * rows.T).sum(1)
    return total


def _kernel(products: Array, width: int) -> Array:
    base: Array = products / width + 1.0
    return base * base * base  # `** 3` goes through logarithms
