"""Columns of which one is never below another: a day's high and its low, a total and its parts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Pairs = Sequence[tuple[int, int]]
"""(upper, lower)."""
LEAST = 100
"""Rows in which both are known, from which an order is taken for a rule."""


def find_orders(values: Numbers) -> list[tuple[int, int]]:
    """Pairs of columns of (C, rows), NaN where missing, whose ranges overlap and of which one is never below the other."""
    found = []
    for upper in range(len(values)):
        for lower in range(len(values)):
            both = np.isfinite(values[upper]) & np.isfinite(values[lower])
            high, low = values[upper, both], values[lower, both]
            enough = upper != lower and len(high) >= LEAST
            if enough and (high >= low).all() and (high > low).any() and low.max() > high.min():
                found.append((upper, lower))
    return found


def hold_orders(values: Numbers, pairs: Pairs) -> Numbers:
    """(..., C, rows) in which the orders hold: first columns that none is above are raised as far as needed, then those that
    none is below are lowered, and what is left is raised from below.

    Where the data touches a bound, samples that would cross it come to lie on it, as a rectified normal distribution does.
    """
    found = np.array(values)
    tops, bottoms = {upper for upper, _ in pairs}, {lower for _, lower in pairs}
    tops, bottoms = tops - bottoms, bottoms - tops
    for upper, lower in pairs:
        if upper in tops and lower not in bottoms:
            _raise(found, upper, lower)
    for upper, lower in pairs:
        if lower in bottoms and upper not in tops:
            below = found[..., lower, :] > found[..., upper, :]
            found[..., lower, :] = np.where(below, found[..., upper, :], found[..., lower, :])
    depth = {column: len(_below(column, pairs)) for pair in pairs for column in pair}
    for upper, lower in sorted(pairs, key=lambda pair: (depth[pair[0]], depth[pair[1]])):
        _raise(found, upper, lower)
    return found


def _raise(found: Numbers, upper: int, lower: int) -> None:
    """Where both are known."""
    above = found[..., lower, :] > found[..., upper, :]
    found[..., upper, :] = np.where(above, found[..., lower, :], found[..., upper, :])


def _below(column: int, pairs: Pairs) -> set[int]:
    """All columns that are never above it, over others too."""
    own = {lower for upper, lower in pairs if upper == column}
    return own.union(*(_below(one, pairs) for one in own))
