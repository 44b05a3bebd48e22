"""A .npy file of unknown length, written row by row in constant memory."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray


class GrowingArray:
    """Rows appended to a .npy file; the count in its header is put right when the block ends.

    NumPy pads every header to leave room for a longer first axis, so the new one fits over the old.

    Arguments:
        path: the file to make.
        shape: of one row.
        dtype: of the values.
    """

    def __init__(self, path: Path, shape: Sequence[int], dtype: DTypeLike) -> None:
        self.shape = tuple(shape)
        self.dtype = np.dtype(dtype)
        self.count = 0
        self._file = path.open("wb")
        self._write_header()

    def append(self, row: NDArray[Any]) -> None:
        """One more row, of the shape and dtype promised."""
        if row.shape != self.shape or row.dtype != self.dtype:
            raise ValueError(f"row is {row.dtype} {row.shape}, expected {self.dtype} {self.shape}")
        self._file.write(row.tobytes())
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._file.seek(0)
            self._write_header()
        self._file.close()

    def _write_header(self) -> None:
        np.lib.format.write_array_header_1_0(self._file, {
            "descr": np.lib.format.dtype_to_descr(self.dtype),
            "fortran_order": False,
            "shape": (self.count, *self.shape),
        })
