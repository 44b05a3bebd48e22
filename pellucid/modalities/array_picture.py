"""A picture in a .npy file of its own: (H, W), (H, W, C) or (C, H, W), of any number of channels."""

from math import prod
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.arrays import npy_header
from pellucid.modalities.canvas import MODES, Canvas
from pellucid.modalities.levels import black_and_white
from pellucid.modalities.picture import Picture
from pellucid.modalities.pixels import channels
from pellucid.sources.limits import LARGEST, too_large
from pellucid.sources.refused import RefusedError

SUFFIX = ".npy"


class ArrayPicture(Picture):
    """The channels stand on the shorter one of the outer axes."""

    def __init__(self, stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any], *, fortran: bool) -> None:
        self.axis, (self.channels, height, width) = channels(shape)
        self.size = width, height
        self._stream, self._shape, self._dtype, self._fortran = stream, shape, dtype, fortran

    @classmethod
    def open(cls, stream: IO[bytes]) -> "ArrayPicture":
        shape, fortran, dtype = npy_header(stream, "it")
        if dtype.hasobject or dtype.fields or dtype.kind not in "buif":
            raise RefusedError(f"{dtype} values; expected whole or floating-point numbers")
        if len(shape) not in (2, 3) or min(shape) < 1:
            raise RefusedError(f"an array of shape {shape}; expected one picture as (H, W), (H, W, C) or (C, H, W)")
        if prod(shape) * dtype.itemsize > LARGEST:
            raise RefusedError(too_large(prod(shape) * dtype.itemsize))
        return cls(stream, shape, dtype, fortran=fortran)

    def values(self) -> NDArray[Any]:
        data = self._stream.read(prod(self._shape) * self._dtype.itemsize)
        if len(data) < prod(self._shape) * self._dtype.itemsize:
            raise RefusedError("damaged: it ends too early")
        values = np.frombuffer(data, self._dtype).reshape(self._shape, order="F" if self._fortran else "C")
        black_and_white(self._dtype, float(values.min()), float(values.max()))  # refuses what is in no known range
        return values

    def pixels(self, canvas: Canvas) -> NDArray[np.uint8]:
        if self.channels != canvas.channels and not {self.channels, canvas.channels} <= MODES.keys():
            raise RefusedError(f"{self.channels} channels, where the others have {canvas.channels}")
        picture = self.values()
        return canvas.of_array(canvas.levels(picture[None] if self.axis is None else np.moveaxis(picture, self.axis, 0)))
