"""Distances between two sets of features, some rows at a time: memory grows with N, not N².

    d²(x, y) = |x|² + |y|² - 2 x·y,    after the mean of all has been taken off, which keeps digits
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError

Array = NDArray[np.float64]
NUMBERS = 1 << 20  # of a matrix of distances held at a time


def squared_distances(x: Array, y: Array) -> Iterator[tuple[slice, Array]]:
    """Blocks of the matrix (N, M) of squared distances between x (N, F) and y (M, F), with the rows that they cover."""
    middle = y.mean(0)
    x, y = x - middle, y - middle
    squares_x, squares_y = np.square(x).sum(1), np.square(y).sum(1)
    step = max(1, NUMBERS // len(y))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        products = x[rows] @ y.T
        products *= -2
        products += squares_x[rows, None]
        products += squares_y
        yield rows, products.clip(min=0.0, out=products)


def squared_radii(x: Array, k: int) -> Array:
    """Squared distance of each sample of x (N, F) to the k-th nearest of the others, (N,).

    Raises:
        DataError: no k others.
    """
    if len(x) <= k:
        raise DataError(f"k = {k} nearest neighbours need at least {k + 1} samples, got {len(x)}: measure more, or lower k")
    radii = np.empty(len(x))
    for rows, squares in squared_distances(x, x):
        own = np.arange(len(squares))
        squares[own, own + rows.start] = np.inf
        radii[rows] = np.partition(squares, k - 1, axis=1)[:, k - 1]
    return radii
