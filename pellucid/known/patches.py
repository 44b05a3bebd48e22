"""Patches of a photograph: windows of many sizes, all brought to one, that show something and are not nearly the same."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pellucid.core.random import Key

SIDE = 64  # of a patch in pixels
WINDOW = (1 / 6, 1 / 2)  # of the shorter side: as patches of a photograph whose shorter side has 384 to 128 pixels
COUNT = 200  # patches of a photograph
CANDIDATES = 2000  # windows that are tried for them
FLAT = 5.0  # standard deviation of brightness about its gradient, of 0 to 255, under which a patch shows nothing
OVERLAP = 0.5  # intersection over union of two windows, from which on they are nearly the same
REDUCED = 1  # pixels of the photograph for a pixel of the smallest window, at the least

Window = NDArray[np.float64]


def patches(file: Path, number: int) -> Iterator[Image.Image]:
    """Up to 200 patches of 64 x 64 pixels in colour.

    Windows are squares whose side is log-uniform between a sixth and a half of the shorter side, each at a uniform place:
    keyed, so that the same photograph and number give the same patches. A window is passed over when its patch is flat, a
    gradient included (a clear sky), or when it and one before it share half of what they cover together.

    Arguments:
        number: of the photograph in its data set, the key.
    """
    with Image.open(file) as opened:
        opened.thumbnail(_enough(opened.size))  # where it can, decodes no more than that
        photograph = ImageOps.exif_transpose(opened).convert("RGB")
    return islice(_patches(photograph, number), COUNT)


def _patches(photograph: Image.Image, number: int) -> Iterator[Image.Image]:
    kept = np.empty((0, 4))
    for window in _windows(photograph.size, number):
        if (_overlaps(window, kept) >= OVERLAP).any():
            continue
        patch = photograph.resize((SIDE, SIDE), Image.Resampling.LANCZOS, box=tuple(window))
        if _detail(patch) >= FLAT:
            kept = np.vstack([kept, window])
            yield patch


def _windows(size: tuple[int, int], number: int) -> NDArray[np.float64]:
    """Candidates: left, top, right, bottom in pixels, shape (2000, 4)."""
    ids = np.stack([np.full(CANDIDATES, number), np.arange(CANDIDATES)], axis=1)
    drawn = Key(0, "patches").uniform(ids, (3,)).numpy()
    least, most = WINDOW
    side = min(size) * least * (most / least) ** drawn[:, :1]
    corner = drawn[:, 1:] * (np.array(size) - side)
    return np.hstack([corner, corner + side])


def _detail(patch: Image.Image) -> float:
    """Standard deviation of what a plane a + b x + c y, fitted to the brightness, leaves.

    Over the whole square x, y and 1 are orthogonal, so b and c are single products.
    """
    brightness = np.asarray(patch.convert("L"), dtype=np.float64)
    slope = np.linspace(-1, 1, SIDE)
    slope /= np.sqrt(SIDE * (slope**2).sum())
    across, along = (brightness @ slope).sum(), (slope @ brightness).sum()
    return float((brightness - across * slope - along * slope[:, None]).std())


def _overlaps(window: Window, others: Window) -> NDArray[np.float64]:
    """Intersection over union with each of the others."""
    low, high = np.maximum(window[:2], others[:, :2]), np.minimum(window[2:], others[:, 2:])
    shared = np.maximum(high - low, 0).prod(axis=1)
    return np.asarray(shared / ((window[2] - window[0]) ** 2 + (others[:, 2] - others[:, 0]) ** 2 - shared))


def _enough(size: tuple[int, int]) -> tuple[int, int]:
    """A box for `thumbnail` in which the smallest window keeps `REDUCED` pixels for each of a patch."""
    scale = REDUCED * SIDE / WINDOW[0] / min(size)
    return round(size[0] * scale), round(size[1] * scale)
