"""Steps from noise to pictures, as a moving picture or as a strip."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.core.errors import UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.modalities.sheet import sheet

MOVING = (".gif", ".webp")
STILL = (".png",)
PLAY, HOLD = 3000, 1500  # milliseconds for the way and for its end
FASTEST, SLOWEST = 40, 200  # milliseconds for a frame; viewers slow down what is faster
STRIP = 12  # columns of a strip

Pictures = Sequence[NDArray[np.uint8]]


def save_journey(frames: Sequence[Pictures], path: Path) -> None:
    """`frames[step][sample]` are pictures (C, H, W); the last step is held.

    A moving picture shows the samples as a sheet that changes; a .png has a row for each sample and columns from first to
    last. Of more steps than can be shown, evenly spaced ones are.

    Raises:
        UserError: no frames, another suffix, or the path cannot be written.
    """
    suffix = path.suffix.lower()
    if suffix not in MOVING + STILL:
        raise UserError(f"A journey cannot be written as '{path.name}': {nearest(suffix, MOVING + STILL)}")
    if not frames or not frames[0]:
        raise UserError("A journey needs at least one step and one sample.")
    if suffix in STILL:
        steps = _thinned(frames, STRIP)
        tiles = [step[sample] for sample in range(len(steps[0])) for step in steps]
        with atomic_write(path) as temporary:
            sheet(tiles, columns=len(steps)).save(temporary)
        return
    steps = _thinned(frames, PLAY // FASTEST)
    each = min(SLOWEST, PLAY // len(steps))
    pictures = [sheet(step) for step in steps]
    if suffix == ".gif":
        pictures = [_quantised(picture) for picture in pictures]
    durations = [each] * (len(pictures) - 1) + [HOLD]
    with atomic_write(path) as temporary:  # `lossless` is WebP's; GIF ignores it
        pictures[0].save(
            temporary, save_all=True, append_images=pictures[1:], duration=durations, loop=0, lossless=True
        )


def _thinned(frames: Sequence[Pictures], most: int) -> list[Pictures]:
    """At most `most` frames, evenly spaced, the first and the last among them."""
    chosen = np.linspace(0, len(frames) - 1, min(most, len(frames))).round().astype(int)
    return [frames[index] for index in chosen]


def _quantised(picture: Image.Image) -> Image.Image:
    """Grey as it is, which GIF holds exactly; colours as the 256 that suit this frame best, dithered."""
    if picture.mode == "L":
        return picture
    palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
    return picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
