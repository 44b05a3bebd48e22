"""A picture in a file format, of any mode: upright, on white unless transparency is asked for, 8 bits a channel."""

import logging
from collections.abc import Iterator
from typing import IO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid.modalities.canvas import MODES, Canvas, on_white
from pellucid.modalities.picture import Picture
from pellucid.sources.refused import RefusedError

SUFFIXES = frozenset({
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".bmp", ".gif", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
})  # fmt: skip
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")  # the decoders that strangers' files may reach
GREY = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L"})
SIDEWAYS = frozenset({5, 6, 7, 8})  # EXIF orientations that swap width and height
ORIENTATION, SAMPLES_PER_PIXEL = 0x0112, 0x0115

logging.getLogger("PIL").addHandler(logging.NullHandler())  # or else its complaints go to the terminal


class FilePicture(Picture):
    """A picture as Pillow knows it."""

    def __init__(self, picture: Image.Image) -> None:
        # PNG's own getexif would decode all pixels to look behind them; TIFF's size is upright already
        turned = picture.format != "TIFF" and Image.Image.getexif(picture).get(ORIENTATION) in SIDEWAYS
        self.size = picture.size[::-1] if turned else picture.size
        self.channels = 1 if picture.mode in GREY else 3
        self._picture = picture

    @classmethod
    def open(cls, stream: IO[bytes]) -> "FilePicture":
        return cls(Image.open(stream, formats=FORMATS))

    def pixels(self, canvas: Canvas) -> NDArray[np.uint8]:
        if canvas.channels not in MODES:
            raise RefusedError(f"{self.channels} channels, where the others have {canvas.channels}")
        self.notes = tuple(_peculiarities(self._picture, keep=canvas.channels == 4))
        if self._picture.format == "JPEG":  # decodes at a half, quarter or eighth when that is still large enough
            self._picture.draft(None, (2 * canvas.width, 2 * canvas.height))
        return canvas.of_picture(_plain(self._picture, keep=canvas.channels == 4))


def _peculiarities(picture: Image.Image, *, keep: bool) -> Iterator[str]:
    if picture.has_transparency_data and not keep:
        yield "transparency laid on white"
    if getattr(picture, "is_animated", False):
        several = picture.format in ("MPO", "TIFF")
        yield "first of several pictures in a file" if several else "first frame of an animation"
    if picture.getexif().get(ORIENTATION, 1) != 1:
        yield "turned as its EXIF data says"
    if picture.mode.startswith("I"):
        yield "16 bits a pixel reduced to 8"
    if (bands := getattr(picture, "tag_v2", {}).get(SAMPLES_PER_PIXEL, 1)) > (known := len(picture.getbands())):
        yield f"of {bands} bands in a TIFF the first {known}; arrays (.npy) keep all"


def _plain(picture: Image.Image, *, keep: bool) -> Image.Image:
    """Any mode as grey or colours, upright; transparency is kept or laid on white."""
    if picture.mode == "F":
        raise RefusedError("floating-point pixels have no fixed white; save such pictures as .npy arrays")
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise RefusedError("whole-number pixels of more than 16 bits")
        return Image.fromarray(np.rint(values / 257).astype(np.uint8))
    if picture.has_transparency_data:
        return picture.convert("RGBA") if keep else on_white(picture)
    return picture.convert("L" if picture.mode in GREY else "RGB")
