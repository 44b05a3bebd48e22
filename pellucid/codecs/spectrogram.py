"""Sound as a complex spectrogram whose loudness is compressed, and exactly back."""

from math import pi
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.core.errors import ConfigError, UnsupportedError

QUIETEST = 0.05
"""A frequency's scale, as a share of the largest, below which it is not made louder."""


class Spectrogram(Codec):
    """z = X |X|^(a - 1) / s_f, with X the short-time Fourier transform of x; real and imaginary parts are channels.

    Frames of N samples begin every H; they are weighted by a sine window before and after, w^2 summing to N / (2 H) over
    them, so that the transform is a tight frame and its inverse exact (Griffin and Lim 1984, eq. 6). A sample is one turn
    of a circle: L / H frames cover it without an edge. The imaginary part at frequency 0, which is none, holds the Nyquist
    frequency, so N / 2 frequencies hold everything. The power a compresses loudness (Richter et al. 2023, SGMSE+, eq. 23).
    s_f, the root mean square at each frequency, is settled by data: see `fit`.

    Arguments:
        shape: (C, L) of a sample.
        window: N, even.
        hop: H, by which N / 2 and L can be divided.
        power: a.
    """

    fitted: ClassVar[bool] = True
    scale: Tensor
    weights: Tensor

    def __init__(self, *, shape: tuple[int, ...], window: int = 512, hop: int = 256, power: float = 0.5) -> None:
        super().__init__()
        if window < 4 or window % 2 or hop < 1 or window // 2 % hop:
            raise ConfigError(f"codec.window = {window}, codec.hop = {hop}: expected a window that is even, and a hop by "
                              "which half of it can be divided")  # fmt: skip
        if not 0 < power <= 1:
            raise ConfigError(f"codec.power = {power}: expected more than 0 and at most 1")
        self.window, self.hop, self.power = window, hop, power
        self.latent_shape(shape)
        angles = torch.arange(window, dtype=torch.float64) + 0.5
        self.register_buffer("weights", torch.sin(pi * angles / window), persistent=False)
        self.register_buffer("scale", torch.ones(window // 2))

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        return cls(shape=(1, 64), window=16, hop=8), (1, 64)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if len(shape) != 2:
            raise UnsupportedError(f"A spectrogram is of sound (C, L), not of samples of shape {shape}")
        channels, length = shape
        if length % self.hop or length < self.window:
            raise UnsupportedError(f"A spectrogram of {length} samples: expected a multiple of codec.hop = {self.hop}, at "
                                   f"least codec.window = {self.window}; --size says how long samples are")  # fmt: skip
        return 2 * channels, self.window // 2, length // self.hop

    def fit(self, x: Tensor) -> None:
        """Settle s_f by sounds (N, C, L): z then has the mean square 1 at each frequency but very quiet ones."""
        z = self._compressed(x)
        found = z.double().square().mean((0, 1, 3)).sqrt()
        self.scale = found.clamp_min(QUIETEST * float(found.max())).clamp_min(1e-12).to(self.scale)

    def encode(self, x: Tensor) -> Tensor:
        return self._compressed(x) / self.scale.to(x)[:, None]

    def decode(self, z: Tensor) -> Tensor:
        parts = (z * self.scale.to(z)[:, None]).reshape(len(z), -1, 2, *z.shape[2:])
        real, imaginary = parts.unbind(2)
        nyquist, imaginary = imaginary[:, :, :1], torch.cat([torch.zeros_like(imaginary[:, :, :1]), imaginary[:, :, 1:]], 2)
        whole = _louder(torch.complex(torch.cat([real, nyquist], 2), _end(imaginary)), 1 / self.power)
        frames = torch.fft.irfft(whole.transpose(2, 3), n=self.window, norm="ortho") * self.weights.to(z)
        return self._overlapped(frames) * (2 * self.hop / self.window)

    def _compressed(self, x: Tensor) -> Tensor:
        """X |X|^(a - 1), (B, 2 C, N / 2, L / H)."""
        around = torch.cat([x, x[..., : self.window - self.hop]], -1)
        frames = around.unfold(-1, self.window, self.hop) * self.weights.to(x)
        found = _louder(torch.fft.rfft(frames, norm="ortho").transpose(2, 3), self.power)
        imaginary = torch.cat([found.real[:, :, -1:], found.imag[:, :, 1:-1]], 2)
        return torch.stack([found.real[:, :, :-1], imaginary], 2).flatten(1, 2)

    def _overlapped(self, frames: Tensor) -> Tensor:
        """Frames (B, C, L / H, N) added at their places on the circle, (B, C, L)."""
        parts = frames.reshape(*frames.shape[:-1], -1, self.hop)
        added: Any = sum(parts[..., place, :].roll(place, 2) for place in range(parts.shape[3]))
        found: Tensor = added.flatten(2)
        return found


def _louder(x: Tensor, power: float) -> Tensor:
    """x |x|^(power - 1), 0 where x is."""
    size = x.abs()
    return torch.polar(size**power, x.angle())


def _end(imaginary: Tensor) -> Tensor:
    """With a row of zeros for the Nyquist frequency."""
    return torch.cat([imaginary, torch.zeros_like(imaginary[:, :, :1])], 2)
