"""Pictures in files, of any mode and size, brought to one shape. What cannot be read is rejected with its reason."""

import struct
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pellucid.core.errors import DataError
from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.modalities.canvas import Canvas, on_white
from pellucid.modalities.walk import shown, walk

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm"})
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # the decoders that strangers' files may reach
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"})
SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
ORIENTATION = 0x0112


class RefusedError(Exception):
    """A picture that we can decode but do not want, with the reason."""


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


def read_pictures(path: Path, *, size: int | None, channels: int | None, labels: bool) -> Iterator[Record]:
    """The pictures in a folder, or the one that `path` names; the first sub-folder of each is its label.

    Raises:
        DataError: not one of them can be read.
    """
    canvas, note = settle(path, size, channels)
    folder = path if path.is_dir() else path.parent
    first: Rejection | None = None
    notes: tuple[str, ...] = (note,)  # on the first picture that is read
    for found in walk(path) if path.is_dir() else [path]:
        record = found if isinstance(found, Rejection) else _read_one(found, folder, canvas, notes)
        if isinstance(record, Rejection):
            first = first or record
            yield record
            continue
        origin, item = record
        yield origin
        yield item if labels else replace(item, label=None)
        notes = ()
    if notes:
        raise _nothing(path, first)


def settle(path: Path, size: int | None, channels: int | None) -> tuple[Canvas, str]:
    """The canvas for the pictures in `path`, from their headers alone, and a sentence that says why.

    Raises:
        DataError: no picture among them.
    """
    sizes: Counter[tuple[int, int]] = Counter()
    coloured = 0
    first: Rejection | None = None
    for found in walk(path) if path.is_dir() else [path]:
        if isinstance(found, Rejection):
            first = first or found
            continue
        try:
            with found.open("rb") as stream, _opened(stream, found) as picture:
                # PNG's own getexif would decode all pixels to look behind them
                turned = Image.Image.getexif(picture).get(ORIENTATION) in SIDEWAYS
                sizes[picture.size[::-1] if turned else picture.size] += 1
                coloured += picture.mode not in GREY
        except Exception as error:  # as in _read_one, which reports it
            first = first or Rejection(source=shown(found.name), reason=_reason(error, found))
    if not sizes:
        raise _nothing(path, first)
    channels = channels or (3 if coloured else 1)
    if channels not in (1, 3):
        raise DataError(f"Pictures are read as grey (1 channel) or RGB (3), not with {channels} channels.")
    return Canvas.choose(sizes, channels, size)


def _nothing(path: Path, example: Rejection | None) -> DataError:
    why = f"For example '{example.source}': {example.reason}." if example else "It is empty."
    return DataError(f"'{path}' holds no picture that can be read (png, jpg, webp, bmp, gif, tif). {why}")


def _read_one(path: Path, folder: Path, canvas: Canvas, notes: tuple[str, ...]) -> tuple[Origin, Item] | Rejection:
    parts = path.relative_to(folder).parts
    source = shown("/".join(parts))
    try:
        with path.open("rb") as stream, _opened(stream, path) as picture:
            notes += tuple(_peculiarities(picture))
            if picture.format == "JPEG":  # decodes at a half, quarter or eighth when that is still large enough
                picture.draft(None, (2 * canvas.width, 2 * canvas.height))
            data = canvas.of_picture(_plain(picture))
        origin = Origin(source=source, size=path.stat().st_size, sha256=sha256(path), notes=notes)
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        return Rejection(source=source, reason=_reason(error, path))
    return origin, Item(source=source, data=data, label=shown(parts[0]) if len(parts) > 1 else None)


@contextmanager
def _opened(stream: IO[bytes], path: Path) -> Iterator[Image.Image]:
    """The picture in an open file, its header read, its pixels not yet."""
    if not is_picture(path):
        raise RefusedError(f"its name does not end like a picture's ({', '.join(sorted(SUFFIXES))})")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(stream, formats=FORMATS) as picture:
            yield picture


def _peculiarities(picture: Image.Image) -> Iterator[str]:
    if picture.has_transparency_data:
        yield "transparency laid on white"
    if getattr(picture, "is_animated", False):
        yield "first frame of an animation"
    if picture.getexif().get(ORIENTATION, 1) != 1:
        yield "turned as its EXIF data says"
    if picture.mode.startswith("I"):
        yield "16 bits a pixel reduced to 8"


def _plain(picture: Image.Image) -> Image.Image:
    """Any mode as grey or RGB, upright, without transparency."""
    if picture.mode == "F":
        raise RefusedError("floating-point pixels have no fixed white; save such pictures as a .npy array")
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise RefusedError("whole-number pixels of more than 16 bits")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if picture.has_transparency_data:
        return on_white(picture)
    return picture.convert("L" if picture.mode in GREY else "RGB")


def _reason(error: Exception, path: Path) -> str:
    """Why a file was rejected, in words for the user."""
    if isinstance(error, RefusedError):
        return str(error)
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "an empty file" if path.stat().st_size == 0 else "not a picture, whatever its name says"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, struct.error):
        return "damaged: it ends too early"
    return f"damaged: {error or type(error).__name__}"
