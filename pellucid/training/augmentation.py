"""Pictures and films mirrored and shifted at random, only when asked for: a model learns what it is shown, mirrored too."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.random import Draws
from pellucid.training.config import Flip


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """Stored pictures (B, C, H, W), or films (B, C, T, H, W), as they are shown in one epoch.

    Arguments:
        flip: mirrored with probability 1/2: left and right, top and bottom, or each of both.
        shift: moved by whole pixels, uniformly from -shift to shift along each axis; the edge is repeated.
    """

    flip: Flip = "none"
    shift: int = 0

    def __call__(self, stored: NDArray[Any], draws: Draws, epoch: int) -> NDArray[Any]:
        """Keyed by sample and epoch, so the same whatever shares the batch."""
        if self.flip in ("vertical", "both"):
            stored = _mirrored(stored, draws, "flip vertical", epoch, axis=-2)
        if self.flip in ("horizontal", "both"):
            stored = _mirrored(stored, draws, "flip horizontal", epoch, axis=-1)
        return self._shifted(stored, draws, epoch) if self.shift else stored

    def _shifted(self, stored: NDArray[Any], draws: Draws, epoch: int) -> NDArray[Any]:
        *_, height, width = stored.shape
        moves = np.floor(draws.uniform("shift", epoch, (2,)).numpy() * (2 * self.shift + 1)).astype(int) - self.shift
        rows = (np.arange(height) + moves[:, :1]).clip(0, height - 1)
        columns = (np.arange(width) + moves[:, 1:]).clip(0, width - 1)
        planes = stored.reshape(len(stored), -1, height, width)
        moved = planes[np.arange(len(stored))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return np.moveaxis(moved, 3, 1).reshape(stored.shape)


def _mirrored(stored: NDArray[Any], draws: Draws, purpose: str, epoch: int, *, axis: int) -> NDArray[Any]:
    chosen = draws.uniform(purpose, epoch, ()).numpy() < 0.5
    return np.where(chosen.reshape(-1, *[1] * (stored.ndim - 1)), np.flip(stored, axis), stored)
