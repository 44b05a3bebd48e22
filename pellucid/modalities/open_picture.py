"""From an entry to the picture in it, by the end of its name."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pellucid.modalities.array_picture import SUFFIX, ArrayPicture
from pellucid.modalities.file_picture import SUFFIXES, FilePicture
from pellucid.modalities.picture import Picture
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError, reason

KINDS = "png, jpg, webp, bmp, gif, tif, ppm, npy"


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture."""
    return path.suffix.lower() in SUFFIXES


@contextmanager
def open_picture(entry: Entry) -> Iterator[Picture]:
    """The picture of an entry, its header read, its pixels not yet.

    Raises:
        Exception: any, when it is damaged or not wanted; `why` has the words.
    """
    if entry.suffix not in (*SUFFIXES, SUFFIX, None):
        raise RefusedError(f"its name does not end like a picture's ({KINDS})")
    with entry.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if not stream.read(1):
            raise RefusedError("an empty file")
        stream.seek(0)
        yield ArrayPicture.open(stream) if entry.suffix == SUFFIX else FilePicture.open(stream)


def why(error: Exception) -> str:
    """Why a picture was rejected, in words for the user."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "not a picture, whatever its name says"
    return reason(error)
