"""Sounds as pictures: loudness over time and pitch, for people and for networks that look at pictures."""

from functools import lru_cache
from math import log10
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

WINDOW = 512
BANDS, FRAMES = 96, 64
"""Of a picture: its height, and at least its width."""
SHOWN = 2  # pixels of the picture for a frame
RANGE = 80.0
"""Decibels from black to white; black is this far below a full-scale sine in its band."""
COLOURS = ((8, 7, 28), (62, 15, 91), (135, 33, 107), (203, 62, 80), (243, 120, 50), (252, 190, 62), (252, 250, 190))
"""From silence to full loudness, ever lighter, so that grey prints tell as much."""


def loudness(x: Tensor, rate: int) -> Tensor:
    """Mel spectrograms of sounds (B, C, L) in [-1, 1]: (B, C, BANDS, T) in [-1, 1], T at least FRAMES, low pitches first.

    Of frames of 512 samples under a Hann window the power in triangles that are equally wide in mel = 2595 log10(1 + f/700)
    (O'Shaughnessy 1987), in decibels, 80 of them from -1 to 1.
    """
    length = x.shape[-1]
    window = min(WINDOW, length)
    hop = max(1, min(window // 2, length // FRAMES))
    frames = torch.stft(
        x.flatten(0, -2).float(), window, hop, window=torch.hann_window(window, device=x.device), center=True,
        pad_mode="constant", return_complex=True,
    )  # fmt: skip
    power = (frames.abs() * (4 / window)).square()  # of a full-scale sine 1, were it all in one band
    bands = mel_bands(rate, window, BANDS).to(power) @ power
    decibels = 10 * bands.clamp_min(10 ** (-RANGE / 10)).log10()
    seen: Tensor = (decibels / (RANGE / 2) + 1).clamp(-1, 1)
    return seen.reshape(*x.shape[:-1], *seen.shape[1:])


@lru_cache(maxsize=8)
def mel_bands(rate: int, window: int, count: int) -> Tensor:
    """(count, window // 2 + 1) triangles of height 1 from 0 Hz to half the rate; too narrow ones hold the next frequency."""
    ends = np.linspace(0, 2595 * log10(1 + rate / 2 / 700), count + 2)
    edges = 700 * (10 ** (ends / 2595) - 1)
    frequencies = np.linspace(0, rate / 2, window // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    found = np.clip(np.minimum(rising, falling), 0, None)
    for row in np.flatnonzero(found.max(1) < 0.5):
        found[row, np.abs(frequencies - edges[row + 1]).argmin()] = 1.0
    return torch.from_numpy(found).float()


def sonograms(sounds: Tensor, rate: int) -> list[NDArray[np.uint8]]:
    """A picture (3, C H, W) of each of (B, C, L): time to the right, pitch upwards, channels one above the other."""
    seen = loudness(sounds, rate).flip(2).flatten(1, 2).numpy()
    return [np.ascontiguousarray(one.transpose(2, 0, 1).repeat(SHOWN, axis=2)) for one in in_colours(seen)]


def in_colours(seen: NDArray[Any]) -> NDArray[np.uint8]:
    """From [-1, 1], silence to full loudness, to colours (..., 3)."""
    places = (seen + 1) / 2 * (len(COLOURS) - 1)
    table = np.array(COLOURS, dtype=np.float64)
    low = np.minimum(places.astype(np.int64), len(COLOURS) - 2)
    share = (places - low)[..., None]
    return np.asarray(np.rint(table[low] * (1 - share) + table[low + 1] * share).astype(np.uint8))
