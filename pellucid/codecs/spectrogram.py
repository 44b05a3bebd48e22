"""Sound as a complex spectrogram whose loudness is compressed, and exactly back."""

from typing import ClassVar, Self

import torch
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.codecs.frames import Frames
from pellucid.core.errors import ConfigError

QUIETEST = 0.05
"""A frequency's scale, as a share of the largest, below which it is not made louder."""


class Spectrogram(Codec):
    """z = X |X|^(a - 1) / s_f, with X the short-time Fourier transform of x (see `Frames`): a picture of two channels, real
    and imaginary, for each of x.

    The imaginary part at frequency 0, which is none, holds the Nyquist frequency, so N / 2 frequencies hold everything, and
    the inverse is exact. The power a compresses loudness (Richter et al. 2023, SGMSE+, eq. 23). s_f, the root mean square
    at each frequency, is settled by data: see `fit`.

    Arguments:
        shape: (C, L) of a sample.
        window: N, even.
        hop: H, by which N / 2 and L can be divided.
        power: a.
    """

    fitted: ClassVar[bool] = True
    scale: Tensor

    def __init__(self, *, shape: tuple[int, ...], window: int = 512, hop: int = 256, power: float = 0.5) -> None:
        super().__init__()
        if not 0 < power <= 1:
            raise ConfigError(f"codec.power = {power}: expected more than 0 and at most 1")
        self.frames, self.power = Frames(window, hop), power
        self.latent_shape(shape)
        self.register_buffer("scale", torch.ones(window // 2))

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        return cls(shape=(1, 64), window=16, hop=8), (1, 64)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        count = self.frames.count(shape)
        return 2 * shape[0], self.frames.window // 2, count

    def fit(self, x: Tensor) -> None:
        """Settle s_f by sounds (N, C, L): z then has the mean square 1 at each frequency but very quiet ones."""
        found = self._compressed(x).double().square().mean((0, 1, 3)).sqrt()
        self.scale = found.clamp_min(QUIETEST * float(found.max())).clamp_min(1e-12).to(self.scale)

    def encode(self, x: Tensor) -> Tensor:
        return self._compressed(x) / self.scale.to(x)[:, None]

    def decode(self, z: Tensor) -> Tensor:
        parts = (z * self.scale.to(z)[:, None]).reshape(len(z), -1, 2, *z.shape[2:])
        real, imaginary = parts.unbind(2)
        none, nyquist = torch.zeros_like(real[:, :, :1]), imaginary[:, :, :1]
        whole = torch.complex(torch.cat([real, nyquist], 2), torch.cat([none, imaginary[:, :, 1:], none], 2))
        return self.frames.back(_raised(whole, 1 / self.power))

    def _compressed(self, x: Tensor) -> Tensor:
        """X |X|^(a - 1), (B, 2 C, N / 2, L / H)."""
        found = _raised(self.frames(x), self.power)
        imaginary = torch.cat([found.real[:, :, -1:], found.imag[:, :, 1:-1]], 2)
        return torch.stack([found.real[:, :, :-1], imaginary], 2).flatten(1, 2)


def _raised(x: Tensor, power: float) -> Tensor:
    """x |x|^(power - 1), 0 where x is."""
    return torch.polar(x.abs() ** power, x.angle())
