"""How numbers in an array become pictures (C, H, W) in bytes: where the channels stand, what black and white are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.modalities.arrays import ArrayFile
from pellucid.modalities.levels import Levels, black_and_white


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """The meaning of one row of an array.

    Arguments:
        channel_axis: of a row (H, W, C) or (C, H, W); None for (H, W).
        shape: (C, H, W) of every picture.
        levels: black and white.
        note: a sentence for the user, empty when there was nothing to decide.
    """

    channel_axis: int | None
    shape: tuple[int, int, int]
    levels: Levels
    note: str

    @classmethod
    def of(cls, array: ArrayFile) -> "PixelFormat":
        """Decides from shape and type, and for all but bytes from the range of all values, which takes a pass.

        Raises:
            DataError: not an array of pictures, NaN or Inf, or values in no known range.
        """
        if len(array.shape) not in (3, 4):
            raise DataError(
                f"'{array.path}' holds an array of shape {array.shape}; expected pictures as (N, H, W), (N, H, W, C) or "
                "(N, C, H, W)."
            )
        axis, shape = channels(array.shape[1:])
        doubt = axis == 2 and array.shape[1] <= 4
        layout = f"shape {array.shape} taken as (N, H, W, C)" if doubt else ""
        try:
            low, high, values = black_and_white(array.dtype, *_extremes(array))
        except DataError as error:
            raise DataError(f"'{array.path}' holds {error}") from None
        levels = Levels(known={array.dtype.name: (low, high)})
        return cls(channel_axis=axis, shape=shape, levels=levels, note="; ".join(filter(None, (layout, values))))

    def __call__(self, row: NDArray[Any]) -> NDArray[np.uint8]:
        """One row as a picture (C, H, W)."""
        return self.levels(row[None] if self.channel_axis is None else np.moveaxis(row, self.channel_axis, 0))


def channels(shape: tuple[int, ...]) -> tuple[int | None, tuple[int, int, int]]:
    """Which axis of a picture (H, W), (H, W, C) or (C, H, W) holds the channels, and its shape as (C, H, W).

    It is the shorter of the outer two.

    >>> channels((28, 28)), channels((32, 32, 3)), channels((5, 32, 32))
    ((None, (1, 28, 28)), (2, (3, 32, 32)), (0, (5, 32, 32)))
    """
    if len(shape) == 2:
        return None, (1, shape[0], shape[1])
    first, second, third = shape
    return (2, (third, first, second)) if third <= first else (0, (first, second, third))


def _extremes(array: ArrayFile) -> tuple[float, float]:
    if array.dtype == np.uint8 or array.dtype.kind not in "buif":
        return 0, 255
    least, most = np.inf, -np.inf
    for index, row in enumerate(array.rows()):
        low, high = float(row.min()), float(row.max())
        if not np.isfinite(low + high):
            raise DataError(f"NaN or Inf, first in picture {index}. Clean the array first.")
        least, most = min(least, low), max(most, high)
    return least, most
