"""Which numbers are black and white, decided from the type of numbers and the range of all of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError

EXPECTED = "expected [0, 1], [-1, 1], [0, 255] or whole numbers of at most 16 bits. Scale them first."


@dataclass(frozen=True, kw_only=True)
class Levels:
    """Black and white for each type of numbers in a data set.

    Arguments:
        known: (black, white) by the name of the type. Bytes need none.
    """

    known: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.uint8]:
        """Numbers of any shape as bytes, black at 0 and white at 255."""
        if values.dtype == np.uint8:
            return np.ascontiguousarray(values)
        low, high = self.known[values.dtype.name]
        return np.rint((values.astype(np.float64) - low) * (255 / (high - low))).astype(np.uint8, order="C")


def black_and_white(dtype: np.dtype[Any], least: float, most: float) -> tuple[float, float, str]:
    """The levels for numbers from `least` to `most`, and a sentence that says so, empty for bytes.

    Raises:
        DataError: neither whole nor floating-point numbers, not finite, or in no known range.
    """
    if dtype == np.uint8:
        return 0, 255, ""
    if dtype.kind not in "buif":
        raise DataError(f"{dtype}; expected whole or floating-point numbers.")
    if not np.isfinite(least + most):
        raise DataError("NaN or Inf. Clean the array first.")
    if dtype.kind == "f":
        for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)):
            if low <= least and most <= high:
                return low, high, f"{dtype} values from {least:g} to {most:g}: black is {low:g}, white {high:g}"
    elif dtype.kind == "b":
        return 0, 1, "False is black, True white"
    else:
        for bits in (8, 10, 12, 14, 16):
            if least >= 0 and most < 2**bits:
                return 0, 2**bits - 1, f"{dtype} values up to {most:g}: white is {2**bits - 1}"
    raise DataError(f"{dtype} values from {least:g} to {most:g}; {EXPECTED}")
