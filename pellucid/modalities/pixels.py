"""How numbers in an array become pictures (C, H, W) in bytes: where the channels stand, what black and white are."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.modalities.arrays import ArrayFile


@dataclass(frozen=True, kw_only=True)
class PixelFormat:
    """The meaning of one row of an array.

    Arguments:
        channel_axis: of a row (H, W, C) or (C, H, W); None for (H, W).
        shape: (C, H, W) of every picture.
        low, high: the values of black and white.
        note: a sentence for the user, empty when there was nothing to decide.
    """

    channel_axis: int | None
    shape: tuple[int, int, int]
    low: float
    high: float
    note: str

    @classmethod
    def of(cls, array: ArrayFile) -> "PixelFormat":
        """Decides from shape and type, and for all but bytes from the range of all values, which takes a pass.

        Raises:
            DataError: not an array of pictures, NaN or Inf, or values in no known range.
        """
        axis, shape, layout = _channels(array)
        low, high, values = _range(array)
        return cls(channel_axis=axis, shape=shape, low=low, high=high, note="; ".join(filter(None, (layout, values))))

    def __call__(self, row: NDArray[Any]) -> NDArray[np.uint8]:
        """One row as a picture (C, H, W)."""
        picture = row[None] if self.channel_axis is None else np.moveaxis(row, self.channel_axis, 0)
        if picture.dtype == np.uint8:
            return np.ascontiguousarray(picture)
        scaled = (picture.astype(np.float64) - self.low) * (255 / (self.high - self.low))
        return np.rint(scaled).astype(np.uint8, order="C")


def _channels(array: ArrayFile) -> tuple[int | None, tuple[int, int, int], str]:
    """Which axis of a row holds the channels (the shorter of the outer two), the shape (C, H, W), and a remark."""
    match array.shape:
        case (_, height, width):
            return None, (1, height, width), ""
        case (_, first, second, third) if third <= first:
            doubt = f"shape {array.shape} taken as (N, H, W, C)" if first <= 4 else ""
            return 2, (third, first, second), doubt
        case (_, first, second, third):
            return 0, (first, second, third), ""
    raise DataError(
        f"'{array.path}' holds an array of shape {array.shape}; expected pictures as (N, H, W), (N, H, W, C) or "
        "(N, C, H, W)."
    )


def _range(array: ArrayFile) -> tuple[float, float, str]:
    """Black, white and how they were decided."""
    if array.dtype == np.uint8:
        return 0, 255, ""
    if array.dtype.kind not in "buif":
        raise DataError(f"'{array.path}' holds {array.dtype}; expected whole or floating-point numbers.")
    least, most = _extremes(array)
    if array.dtype.kind == "f":
        for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if low <= least and most <= high:
                return low, high, f"{array.dtype} values from {least:g} to {most:g}: black is {low:g}, white {high:g}"
    elif array.dtype.kind == "b":
        return 0, 1, "False is black, True white"
    else:
        for bits in (8, 10, 12, 14, 16):
            if least >= 0 and most < 2**bits:
                return 0, 2**bits - 1, f"{array.dtype} values up to {most:g}: white is {2**bits - 1}"
    raise DataError(
        f"'{array.path}' holds {array.dtype} values from {least:g} to {most:g}; expected [0, 1], [-1, 1], [0, 255] "
        "or whole numbers of at most 16 bits. Scale them first."
    )


def _extremes(array: ArrayFile) -> tuple[float, float]:
    least, most = np.inf, -np.inf
    for index, row in enumerate(array.rows()):
        low, high = float(row.min()), float(row.max())
        if not np.isfinite(low + high):
            raise DataError(f"'{array.path}' holds NaN or Inf, first in picture {index}. Clean the array first.")
        least, most = min(least, low), max(most, high)
    return least, most
