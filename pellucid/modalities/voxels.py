"""How many voxels each sample has, chosen for all scans of a data set, and scans brought to as many."""

from collections import Counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from pellucid.core.errors import ConfigError

LARGEST = {2: 64, 3: 32}
"""The longest side that is chosen without being asked for, of slices and of volumes."""
MODES = {2: "bilinear", 3: "trilinear"}
MULTIPLES = (8, 4, 2)
"""Of which sides that are scaled are one, the first that is no longer than they: so that networks can halve them."""

Sides = tuple[int, ...]


def choose(shapes: Counter[Sides], size: int | Sides | None) -> Sides:
    """The sides of every sample, for scans of these (height, width) or (depth, height, width).

    `size` is the longest side, or all of them. Without it scans stay as most of them are, or are made smaller until the
    longest side is 64, of volumes 32.

    Raises:
        ConfigError: a size below 1, or of another number of sides.
    """
    usual = shapes.most_common(1)[0][0]
    rank = len(usual)
    if any(side < 1 for side in ((size,) if isinstance(size, int) else size or ())):
        raise ConfigError(f"The size of scans is {size}, expected at least 1 voxel")
    if isinstance(size, tuple):
        if len(size) != rank:
            expected = "[depth, height, width]" if rank == 3 else "[height, width]"
            raise ConfigError(f"data.size = {list(size)}: expected the longest side, or {expected}")
        return size
    longest = min(LARGEST[rank], max(usual)) if size is None else size
    if longest == max(usual):
        return usual
    return tuple(longest if side == max(usual) else _side(side * longest / max(usual)) for side in usual)


def _side(length: float) -> int:
    multiple = next((multiple for multiple in MULTIPLES if multiple <= length), 1)
    return max(1, multiple * round(length / multiple))


def resampled(values: NDArray[Any], sides: Sides) -> NDArray[Any]:
    """The last axes brought to these sides, whatever their proportions: means over areas where there are fewer, linear
    between voxels where there are more; float64, or the values as they are where nothing changes.
    """
    rank = len(sides)
    if values.shape[-rank:] == sides:
        return values
    x = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float64)).reshape(-1, 1, *values.shape[-rank:])
    fewer = tuple(min(old, new) for old, new in zip(x.shape[2:], sides, strict=True))
    x = interpolate(x, fewer, mode="area")
    if fewer != sides:
        x = interpolate(x, sides, mode=MODES[rank], align_corners=False)
    return x.reshape(*values.shape[:-rank], *sides).numpy()
