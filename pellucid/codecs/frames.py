"""The short-time Fourier transform on a circle: a tight frame, exactly inverted."""

from math import pi
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError, UnsupportedError


class Frames(nn.Module):
    """Frames of N samples begin every H and are weighted by a sine window, before and after.

    The squares of the window sum to N / (2 H) over the frames, so the transform keeps energy up to that factor and its
    inverse, added frames, is exact (Griffin and Lim 1984, eq. 6). A sound is one turn of a circle: L / H frames cover it
    without an edge.

    Arguments:
        window: N, even.
        hop: H, by which N / 2 can be divided.
    """

    weights: Tensor

    def __init__(self, window: int, hop: int) -> None:
        super().__init__()
        if window < 4 or window % 2 or hop < 1 or window // 2 % hop:
            raise ConfigError(f"codec.window = {window}, codec.hop = {hop}: expected a window that is even, and a hop by "
                              "which half of it can be divided")  # fmt: skip
        self.window, self.hop = window, hop
        angles = torch.arange(window, dtype=torch.float64) + 0.5
        self.register_buffer("weights", torch.sin(pi * angles / window), persistent=False)

    def count(self, shape: tuple[int, ...]) -> int:
        """L / H, of sounds (C, L).

        Raises:
            UnsupportedError: another shape, or a length that does not fit.
        """
        if len(shape) != 2:
            raise UnsupportedError(f"A spectrogram is of sound (C, L), not of samples of shape {shape}")
        length = shape[1]
        if length % self.hop or length < self.window:
            raise UnsupportedError(f"A spectrogram of {length} samples: expected a multiple of codec.hop = {self.hop}, at "
                                   f"least codec.window = {self.window}; --size says how long samples are")  # fmt: skip
        return length // self.hop

    def forward(self, x: Tensor) -> Tensor:
        """x (..., L) to X (..., N / 2 + 1, L / H), complex."""
        around = torch.cat([x, x[..., : self.window - self.hop]], -1)
        frames = around.unfold(-1, self.window, self.hop) * self.weights.to(x)
        found: Tensor = torch.fft.rfft(frames, norm="ortho").transpose(-1, -2)
        return found

    def back(self, transformed: Tensor) -> Tensor:
        """X to x; of what is no transform of a sound, the nearest sound."""
        frames = torch.fft.irfft(transformed.transpose(-1, -2), n=self.window, norm="ortho")
        weighted = frames * self.weights.to(frames)
        parts = weighted.reshape(*weighted.shape[:-1], -1, self.hop)
        added: Any = sum(parts[..., place, :].roll(place, -2) for place in range(parts.shape[-2]))
        found: Tensor = added.flatten(-2) * (2 * self.hop / self.window)
        return found
