"""Which samples of a pack are held out, and what they tell of training on the others."""

import numpy as np
from numpy.typing import NDArray

from pellucid.data.order import order

LEAST, MOST = 8, 256
"""Samples that are held out at least and at most."""
RUN, RUNS = 16, 8
"""Held out are runs of as many neighbours, since windows of one recording overlap; fewer where there would be few runs."""


def share_of(count: int, share: float) -> int:
    """How many of `count` samples a share is, within LEAST and MOST."""
    return int(np.clip(share * count, LEAST, MOST))


def held_out(count: int, wanted: int, seed: int) -> NDArray[np.bool_]:
    """(count,), true for about `wanted` of `count` samples: runs of neighbours in keyed places."""
    held = np.full(count, wanted >= count)
    if 0 < wanted < count:
        length = max(1, min(RUN, wanted // RUNS))
        chosen = order(seed, 0, count // length, np.arange(max(1, wanted // length)))
        held[(chosen[:, None] * length + np.arange(length)).ravel()] = True
    return held
