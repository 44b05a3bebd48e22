"""The part of a picture that a model of a fixed size looks at, and the way back."""

from dataclasses import dataclass
from math import ceil, floor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Box = tuple[int, int, int, int]
"""left, top, right, bottom."""
Floats = NDArray[np.float32]
EDGE = 1e-6  # of a pixel, lost to rounding


@dataclass(frozen=True, kw_only=True)
class Window:
    """A rectangle over a picture, of the shape of a model's samples; beyond the picture nothing is known.

    Arguments:
        left, top: of its corner, in pixels of the picture, which may lie outside.
        scale: pixels of the picture for one of the model's.
        width, height: of the model's samples.
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    @classmethod
    def around(cls, box: Box, picture: tuple[int, int], sample: tuple[int, int]) -> "Window":
        """The largest that the picture has room for, or that `box` needs, about the centre or as near as shows all of `box`.

        >>> Window.around((90, 10, 100, 20), (100, 50), (32, 32))
        Window(left=50.0, top=0.0, scale=1.5625, width=32, height=32)
        """
        left, top, right, bottom = box
        fits = min(here / side for here, side in zip(picture, sample, strict=True))
        scale = max(fits, (right - left) / sample[0], (bottom - top) / sample[1])
        (width, height), (across, down) = sample, (scale * side for side in sample)
        return cls(
            left=min(max((picture[0] - across) / 2, right - across), left),
            top=min(max((picture[1] - down) / 2, bottom - down), top),
            scale=scale, width=width, height=height,
        )  # fmt: skip

    def cut(self, picture: NDArray[np.uint8], known: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
        """What is seen of a picture (C, H, W) whose pixels are partly `known` (H, W), at the model's size, and where.

        Each value is a mean over known pixels alone; one less than half of which is known counts as unknown.
        """
        weight = self._scaled(known.astype(np.float32))
        planes = [self._scaled(plane * known) for plane in picture.astype(np.float32)]
        return (np.stack(planes) / np.maximum(weight, EDGE)).astype(np.float32), weight >= 0.5

    def paste(self, picture: NDArray[np.uint8], piece: Floats, share: Floats) -> NDArray[np.uint8]:
        """`piece` (C, height, width) laid over a picture by `share` (H, W) in [0, 1]; where that is 0 nothing changes."""
        (left, right), across = self._covered(self.left, self.width, picture.shape[2])
        (top, bottom), down = self._covered(self.top, self.height, picture.shape[1])
        box, size = (across[0], down[0], across[1], down[1]), (right - left, bottom - top)
        new = np.stack([_resized(plane, size, box, Image.Resampling.BICUBIC) for plane in piece])
        pasted, part = picture.copy(), (slice(top, bottom), slice(left, right))
        old, weight = picture[:, *part], share[part]
        pasted[:, *part] = np.where(weight > 0, np.rint(old + weight * (new.clip(0, 255) - old)), old)
        return pasted

    def _covered(self, start: float, count: int, length: int) -> tuple[tuple[int, int], tuple[float, float]]:
        """Along an axis: from which pixel to which of the picture's `length` it reaches, and where these lie in a sample."""
        first, last = max(0, ceil(start - EDGE)), min(length, floor(start + self.scale * count + EDGE))
        return (first, last), (max(0.0, (first - start) / self.scale), min(count, (last - start) / self.scale))

    def _scaled(self, plane: Floats) -> Floats:
        """A plane of the picture, zeros beyond its edges, averaged to the model's pixels."""
        across, down = self.scale * self.width, self.scale * self.height
        before = ceil(max(0, -self.top)), ceil(max(0, -self.left))
        after = (ceil(max(0, self.top + down - plane.shape[0])), ceil(max(0, self.left + across - plane.shape[1])))
        padded = np.pad(plane, tuple(zip(before, after, strict=True)))
        left, top = self.left + before[1], self.top + before[0]
        box = left, top, min(left + across, padded.shape[1]), min(top + down, padded.shape[0])
        return _resized(padded, (self.width, self.height), box, Image.Resampling.HAMMING)


def _resized(
    plane: Floats, size: tuple[int, int], box: tuple[float, float, float, float], how: Image.Resampling
) -> Floats:
    return np.asarray(Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32)).resize(size, how, box=box))
