"""The shape that all pictures of one data set are brought to, and how."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid.core.errors import ConfigError, DataError

LARGEST = 64  # side that is chosen without being asked for


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Height, width and channels of every sample.

    Pictures of another size are scaled, antialiased, until the shorter side fits and then cropped about the centre.
    """

    height: int
    width: int
    channels: int

    @classmethod
    def choose(cls, sizes: Counter[tuple[int, int]], channels: int, size: int | None) -> tuple["Canvas", str]:
        """The canvas for pictures of these (width, height), and a sentence that says so.

        A side that is asked for wins. Else pictures of one size up to 64 x 64 keep it, and all others become squares of
        64, 32, 16 or 8: the largest that at least half of them reach.

        Raises:
            ConfigError: a size below 1.
        """
        if size is not None and size < 1:
            raise ConfigError(f"The size of pictures is {size}, expected at least 1.")
        (width, height), *others = sizes
        if size is not None:
            width = height = size
        elif others or max(width, height) > LARGEST:
            shorter = sorted(min(pair) for pair in sizes.elements())
            median = shorter[(len(shorter) - 1) // 2]
            width = height = next((side for side in (LARGEST, 32, 16) if side <= median), 8)
        colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
        canvas = cls(height=height, width=width, channels=channels)
        if set(sizes) == {(width, height)}:
            return canvas, f"pictures are {width} x {height}, {colours}"
        least, most = min(sizes), max(sizes)
        came = f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if others else "")
        return canvas, f"pictures of {came} are scaled and cropped about the centre to {width} x {height}, {colours}"

    def of_picture(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A grey or RGB picture as (C, height, width)."""
        picture = self._fitted(picture).convert("L" if self.channels == 1 else "RGB")
        pixels = np.asarray(picture)
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def of_array(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (C', H, W) as (C, height, width); C' other than C must be grey, RGB or RGBA."""
        if len(data) != self.channels:
            return self.of_picture(as_picture(data))
        if data.shape[1:] == (self.height, self.width):
            return data
        return np.stack([np.asarray(self._fitted(Image.fromarray(plane))) for plane in data])

    def _fitted(self, picture: Image.Image) -> Image.Image:
        if picture.size == (self.width, self.height):
            return picture
        return ImageOps.fit(picture, (self.width, self.height), Image.Resampling.BICUBIC)


def as_picture(data: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) as a picture: grey, RGB, or RGBA laid on white.

    Raises:
        DataError: another number of channels.
    """
    if len(data) == 1:
        return Image.fromarray(data[0])
    if len(data) not in (3, 4):
        raise DataError(f"A picture with {len(data)} channels has no colours; 1 is grey, 3 is RGB, 4 is RGBA.")
    picture = Image.fromarray(np.ascontiguousarray(data.transpose(1, 2, 0)))
    return picture if len(data) == 3 else on_white(picture)


def on_white(picture: Image.Image) -> Image.Image:
    """A picture with transparency, laid on white; grey stays grey."""
    grey = picture.mode in ("L", "LA", "La")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("L" if grey else "RGB")
