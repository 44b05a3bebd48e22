"""NIfTI files as scans: slices, volumes and series of them, turned so that rows run to the left and columns to the back."""

import gzip
import logging
from io import SEEK_CUR, SEEK_END, BytesIO
from math import prod
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from pellucid.core.optional import optional
from pellucid.modalities.dicom import MOST
from pellucid.modalities.scanned import Scanned
from pellucid.sources.limits import allowance
from pellucid.sources.refused import RefusedError

GZIP = b"\x1f\x8b"
FIRST, SECOND, PAIR = b"n+1\0", b"n+2\0", (b"ni1\0", b"ni2\0")
MAGIC = {FIRST: 344, SECOND: 4}
"""Of both versions, and where it stands."""
HEAD = 544
DEFLATED = 1100  # times smaller than before, at most
UNITS = {"meter": 1000.0, "micron": 0.001}
"""Of lengths, in millimetres; anything else is taken for them."""


class _Bounded(gzip.GzipFile):
    """A packed stream that is not read beyond what it may unpack to."""

    def __init__(self, stream: IO[bytes], packed: int) -> None:
        super().__init__(fileobj=stream, mode="rb")
        self.most = allowance(packed)
        self.room = min(self.most, DEFLATED * packed)

    def read(self, size: int | None = -1) -> bytes:
        left = self.most - self.tell()
        found = super().read(left + 1 if size is None or not 0 <= size <= left else size)
        if self.tell() > self.most:
            raise self._beyond()
        return found

    def seek(self, place: int, whence: int = 0) -> int:
        if (place, whence) == (0, SEEK_CUR):  # as `tell` does
            return super().seek(place, whence)
        if whence or place > self.most:
            raise self._beyond()
        return super().seek(place)

    def _beyond(self) -> RefusedError:
        return RefusedError(f"it unpacks to more than {self.most:,} bytes, out of proportion to its size")


def unpacked(stream: IO[bytes]) -> IO[bytes]:
    """The stream, or what is packed in it."""
    stream.seek(0)
    packed = stream.read(2) == GZIP
    size = stream.seek(0, SEEK_END)
    stream.seek(0)
    return cast(IO[bytes], _Bounded(stream, size)) if packed else stream


def _room(stream: IO[bytes]) -> int:
    """Bytes that there are, at most."""
    room: int | None = getattr(stream, "room", None)  # of a packed one
    return stream.seek(0, SEEK_END) if room is None else room


def is_nifti(head: bytes) -> bool:
    """Whether the first `HEAD` bytes are those of a NIfTI file.

    Raises:
        RefusedError: they are a header whose values lie in a file of their own.
    """
    if head[344:348] in PAIR or head[4:8] in PAIR:
        raise RefusedError("a header whose values lie in another file: save both as one .nii")
    return any(head[place : place + 4] == magic for magic, place in MAGIC.items())


def open_nifti(stream: IO[bytes], head: bytes) -> Scanned:
    """The scan in an unpacked NIfTI file; its values are read when asked for.

    Raises:
        Exception: any, when it is damaged or not wanted.
    """
    nibabel = optional("nibabel", "NIfTI", "medical")
    logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)  # what is wrong is said once, by us
    kind = nibabel.Nifti1Image if head[MAGIC[FIRST] :][:4] == FIRST else nibabel.Nifti2Image
    form = kind.header_class  # of fixed length: what may follow it, of any length, nobody asked for
    header = form.from_fileobj(BytesIO(head[: form.sizeof_hdr]))
    values = kind.ImageArrayProxy(stream, header.copy())
    sides = tuple(map(int, values.shape))
    if len(sides) < 2 or prod(sides[4:]) != 1 or min(sides) < 1:
        raise RefusedError(f"{len(sides)} axes ({' x '.join(map(str, sides))}); expected width, height, depth and times")
    if prod(sides) > MOST:
        raise RefusedError(f"more than {MOST:,} values")
    dtype = np.dtype(header.get_data_dtype())
    if dtype.kind not in "buif":
        raise RefusedError(f"{'colours' if dtype.fields else dtype.name + ' numbers'}, where grey values are read")
    if header.get_data_offset() + prod(sides) * dtype.itemsize > _room(stream):
        raise RefusedError("damaged: it ends too early")
    sides = (*sides, 1, 1)[:4]
    turn = _turn(nibabel, header.get_best_affine())
    zooms = [float(zoom) for zoom in header.get_zooms()[:3]]
    unit = UNITS.get(header.get_xyzt_units()[0], 1.0)
    lengths = [unit * zoom if zoom > 0 else 1.0 for zoom in (*zooms, 1.0)[:3]]
    order = [int(np.flatnonzero(turn[:, 0] == axis)[0]) for axis in (2, 1, 0)]  # where depth, height and width come from

    def load() -> NDArray[Any]:
        numbers = np.asarray(values.get_unscaled()).reshape(sides)
        return np.ascontiguousarray(nibabel.orientations.apply_orientation(numbers, turn).T)

    low, high = (float(header[name]) for name in ("cal_min", "cal_max"))
    return Scanned(
        shape=(sides[3], sides[order[0]], sides[order[1]], sides[order[2]]), load=load,
        slope=float(values.slope), intercept=float(values.inter), limits=_limits(dtype),
        spacing=(lengths[order[0]], lengths[order[1]], lengths[order[2]]),
        window=((low + high) / 2, high - low) if high > low else None,
    )  # fmt: skip


def _limits(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    if dtype.kind == "f":
        return None
    return (0, 1) if dtype.kind == "b" else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))


def _turn(nibabel: Any, affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """To axes that run to the left, to the back and upwards; as they are where the file does not tell."""
    as_it_is = np.array([[0, 1], [1, 1], [2, 1]], dtype=float)
    if not np.isfinite(affine).all():
        return as_it_is
    own = nibabel.orientations.io_orientation(affine)
    if not np.isfinite(own).all():
        return as_it_is
    wanted = nibabel.orientations.axcodes2ornt(("L", "P", "S"))
    return np.asarray(nibabel.orientations.ornt_transform(own, wanted))
