"""Arrays on disk, read row by row: IDX (LeCun's MNIST format), .npy and the members of .npz, plain or gzipped."""

import gzip
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.core.reason import reason
from pellucid.sources.refused import RefusedError
from pellucid.sources.zip import open_member

BLOCK = 1 << 20  # bytes read at a time
MAX_ROW = 1 << 30  # bytes of one row; more is a damaged header
MAX_HEADER = 1 << 16  # bytes of the header of a .npy file; NumPy parses no more than 10,000
IDX_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


@dataclass(frozen=True, kw_only=True)
class ArrayFile:
    """An array of rows in a file. Opening reads its header only; `rows` streams the rest.

    Arguments:
        path: of the file, or of the .npz archive.
        member: name of the array in a .npz archive.
        shape: (N, *row).
        dtype: of the values as stored, with their byte order.
        start: byte at which the values begin, after decompression.
        fortran: whether the first axis runs fastest; such an array is read whole.
    """

    path: Path
    member: str | None = None
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    fortran: bool = False

    @classmethod
    def open(cls, path: Path, member: str | None = None) -> Self:
        """Reads the header.

        Raises:
            DataError: no such format, pickled objects, no rows, or a damaged file.
        """
        with _opened(path, member) as stream:
            idx = member is None and path.suffix != ".npy"
            shape, fortran, dtype = _idx_header(stream, path) if idx else npy_header(stream, path)
            if dtype.hasobject or dtype.fields:
                raise DataError(f"'{path}' holds Python objects or records; save a plain array of numbers.")
            if not shape or min(shape) < 1 or prod(shape[1:]) * dtype.itemsize > MAX_ROW:
                raise DataError(f"'{path}' holds an array of shape {shape}; expected (N, ...) with N of at least 1.")
            if fortran and prod(shape) * dtype.itemsize > MAX_ROW:
                raise DataError(f"'{path}' is in Fortran order and larger than {MAX_ROW >> 30} GiB; save it in C order.")
            return cls(path=path, member=member, shape=shape, dtype=dtype, start=stream.tell(), fortran=fortran)

    def __len__(self) -> int:
        return self.shape[0]

    def rows(self) -> Iterator[NDArray[Any]]:
        """The rows in order, in constant memory; read-only.

        Raises:
            DataError: the file is damaged or its length is not the one that its header promises.
        """
        with _opened(self.path, self.member) as stream:
            stream.read(self.start)
            yield from self._fortran_rows(stream) if self.fortran else self._blocks(stream)
            if stream.read(1):
                raise DataError(f"'{self.path}' goes on after the {len(self)} rows that its header promises.")

    def _blocks(self, stream: IO[bytes]) -> Iterator[NDArray[Any]]:
        row_bytes = prod(self.shape[1:]) * self.dtype.itemsize
        per_block = max(1, BLOCK // row_bytes)
        for first in range(0, len(self), per_block):
            count = min(per_block, len(self) - first)
            values = self._values(stream, count * row_bytes)
            yield from values.reshape(count, *self.shape[1:])

    def _fortran_rows(self, stream: IO[bytes]) -> Iterator[NDArray[Any]]:
        yield from self._values(stream, prod(self.shape) * self.dtype.itemsize).reshape(self.shape, order="F")

    def _values(self, stream: IO[bytes], size: int) -> NDArray[Any]:
        data = stream.read(size)
        if len(data) < size:
            raise DataError(f"'{self.path}' is cut short: its header promises {len(self)} rows. Fetch or copy it again.")
        return np.frombuffer(data, dtype=self.dtype)


def members(path: Path) -> list[str]:
    """Names of the arrays in a .npz archive."""
    with _explained(path), zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


@contextmanager
def _opened(path: Path, member: str | None) -> Iterator[IO[bytes]]:
    with _explained(path):
        if member is not None:
            with zipfile.ZipFile(path) as archive, open_member(archive, archive.getinfo(f"{member}.npy")) as stream:
                yield stream
        elif path.suffix == ".gz":
            with gzip.open(path, "rb") as unpacked:
                yield cast(IO[bytes], unpacked)
        else:
            with path.open("rb") as stream:
                yield stream


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except RefusedError as error:
        raise DataError(f"'{path}' cannot be read: {error}.") from error
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError) as error:
        raise DataError(f"'{path}' cannot be read: {error}. Fetch or copy it again.") from error


def _idx_header(stream: IO[bytes], path: Path) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in IDX_TYPES:
        raise DataError(f"'{path}' begins with {magic.hex(' ') or 'nothing'}; an IDX file begins with 00 00 08 (bytes).")
    sizes = stream.read(4 * magic[3])
    if len(sizes) < 4 * magic[3]:
        raise DataError(f"'{path}' is cut short within its header. Fetch or copy it again.")
    return tuple(int(size) for size in np.frombuffer(sizes, dtype=">u4")), False, np.dtype(IDX_TYPES[magic[2]])


def npy_header(stream: IO[bytes], path: Path | str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, Fortran order and type of a .npy file, of which the header is read.

    Raises:
        DataError: it is none.
    """
    try:
        version = np.lib.format.read_magic(stream)
        first = stream.read(2 if version == (1, 0) else 4)
        if (length := int.from_bytes(first, "little")) > MAX_HEADER:
            raise RefusedError(f"a header of {length:,} bytes, where {MAX_HEADER:,} are the most")
        header = BytesIO(first + stream.read(length))
        if version == (1, 0):
            return np.lib.format.read_array_header_1_0(header)
        return np.lib.format.read_array_header_2_0(header)
    except Exception as error:  # NumPy reads the header by Python's own parser, which raises whatever it comes upon
        raise DataError(f"'{path}' is not a NumPy array: {reason(error)}") from error
