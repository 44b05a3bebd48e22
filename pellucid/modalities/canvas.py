"""The shape that all pictures of one data set are brought to, and how."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid.core.errors import ConfigError, DataError
from pellucid.modalities.levels import Levels

LARGEST = 64  # side that is chosen without being asked for
MULTIPLE = 8  # of which the shorter side of a rectangle is one, so that networks can halve it
ALIKE, MOST = 0.03, 0.9  # ratios this close are one, if as many pictures as that share it
MODES = {1: "L", 3: "RGB", 4: "RGBA"}  # by the number of channels
Size = int | tuple[int, ...] | None


@dataclass(frozen=True, kw_only=True)
class Canvas:
    """Height, width and channels of every sample, and the numbers that are black and white in arrays.

    Pictures of another size are scaled, antialiased, until the shorter side fits and then cropped about the centre.
    """

    height: int
    width: int
    channels: int
    levels: Levels = field(default_factory=Levels)

    @classmethod
    def choose(cls, sizes: Counter[tuple[int, int]], channels: int, size: Size) -> tuple["Canvas", str]:
        """The canvas for pictures of these (width, height), and a sentence that says so.

        Pictures of one size that is up to 64 x 64, or as large as asked for, stay as they are. Else, where nine in ten
        share a ratio of width to height that is not 1, within 3 %, the canvas has that ratio too, and where not it is a
        square. `size` is its longer side, or (height, width) exactly; without it the longer side is 64, 32, 16 or 8: the
        largest that at least half of the pictures reach without being enlarged. The other is a multiple of 8.

        Raises:
            ConfigError: a size below 1, or of other than two sides.
        """
        sides = (size,) if isinstance(size, int) else size or ()
        if any(side < 1 for side in sides) or len(sides) > 2:
            raise ConfigError(f"The size of pictures is {size}, expected at least 1, or [height, width].")
        ratio = _shared_ratio(sizes)
        width, height = sides[::-1] if isinstance(size, tuple) else _sides(sizes, ratio, size)
        colours = {1: "grey", 3: "RGB"}.get(channels, f"{channels} channels")
        canvas = cls(height=height, width=width, channels=channels)
        if set(sizes) == {(width, height)}:
            return canvas, f"pictures are {width} x {height}, {colours}"
        least, most = min(sizes), max(sizes)
        came = f"{least[0]} x {least[1]}" + (f" to {most[0]} x {most[1]}" if len(sizes) > 1 else "")
        how = f"scaled and cropped about the centre to {width} x {height}, {colours}"
        kept = ", about the shape that they share" if width != height and not isinstance(size, tuple) else ""
        return canvas, f"pictures of {came} are {how}{kept}"

    def of_picture(self, picture: Image.Image) -> NDArray[np.uint8]:
        """A picture in grey, RGB or RGBA as (C, height, width), C being 1, 3 or 4; transparency is dropped or full."""
        pixels = np.asarray(self._fitted(picture).convert(MODES[self.channels]))
        return pixels[None] if self.channels == 1 else np.ascontiguousarray(pixels.transpose(2, 0, 1))

    def of_array(self, data: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture (C', H, W) as (C, height, width); C' other than C must be grey, RGB or RGBA, which is laid on white."""
        if len(data) != self.channels:
            return self.of_picture(on_white(as_picture(data)))
        if data.shape[1:] == (self.height, self.width):
            return data
        return np.stack([np.asarray(self._fitted(Image.fromarray(plane))) for plane in data])

    def _fitted(self, picture: Image.Image) -> Image.Image:
        if picture.size == (self.width, self.height):
            return picture
        return ImageOps.fit(picture, (self.width, self.height), Image.Resampling.BICUBIC)


def as_picture(data: NDArray[np.uint8]) -> Image.Image:
    """(C, H, W) as a picture: grey, RGB or RGBA.

    Raises:
        DataError: another number of channels.
    """
    if len(data) not in MODES:
        raise DataError(f"A picture with {len(data)} channels has no colours; 1 is grey, 3 is RGB, 4 is RGBA.")
    return Image.fromarray(data[0] if len(data) == 1 else np.ascontiguousarray(data.transpose(1, 2, 0)))


def on_white(picture: Image.Image) -> Image.Image:
    """A picture laid on white where it is transparent; grey stays grey."""
    if not picture.has_transparency_data:
        return picture
    grey = picture.mode in ("L", "LA", "La")
    picture = picture.convert("RGBA")
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("L" if grey else "RGB")


def _shared_ratio(sizes: Counter[tuple[int, int]]) -> float:
    """Width over height, if most pictures agree on it; 1 if they do not."""
    ratios = sorted(width / height for width, height in sizes.elements())
    median = ratios[len(ratios) // 2]
    alike = sum(abs(ratio / median - 1) <= ALIKE for ratio in ratios)
    return median if alike >= MOST * len(ratios) and abs(median - 1) > ALIKE else 1.0


def _sides(sizes: Counter[tuple[int, int]], ratio: float, longer: int | None) -> tuple[int, int]:
    """Width and height, the longer of them as given or chosen."""
    first = next(iter(sizes))
    if len(sizes) == 1 and (max(first) <= LARGEST if longer is None else max(first) == longer):
        return first
    if longer is None:
        reach = sorted(min(pair) if ratio == 1 else max(pair) for pair in sizes.elements())
        median = reach[(len(reach) - 1) // 2]
        longer = next((side for side in (LARGEST, 32, 16) if side <= median), 8)
    if ratio == 1:
        return longer, longer
    shorter = min(longer, max(MULTIPLE, MULTIPLE * round(longer * min(ratio, 1 / ratio) / MULTIPLE)))
    return (longer, shorter) if ratio > 1 else (shorter, longer)
