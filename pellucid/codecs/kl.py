"""A variational autoencoder: data in fewer numbers, of which it keeps what can be seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from pellucid.codecs.autoencoder import Decoder, Encoder
from pellucid.codecs.codec import Codec
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.networks.grid import Factors, crop, divide, pad
from pellucid.networks.network import Size
from pellucid.networks.settings import setting

LARGE = 64
"""Length of the longest axis from which a latent is a quarter as long, and not half."""
LOWEST, HIGHEST = -30.0, 20.0
"""Log-variances, beyond which float32 knows no difference."""


@dataclass(frozen=True, kw_only=True)
class _Dial:
    """What a size stands for: width of the coarsest level, blocks per level and direction."""

    width: int
    blocks: int


_DIAL: dict[Size, _Dial] = {
    "tiny": _Dial(width=64, blocks=1),
    "small": _Dial(width=128, blocks=2),
    "base": _Dial(width=256, blocks=2),
    "large": _Dial(width=512, blocks=2),
}


class KL(Codec):
    """q(z | x) = N(mean(x), variance(x)), held near N(0, I) by its loss, and a decoder of its samples.

    Kingma and Welling 2014 (VAE), section 3; as the first stage of latent diffusion, Rombach et al. 2022, section 3.1 and
    appendix G. What is diffused is the mean, moved and scaled to mean 0 and variance 1 in each of its channels over the
    training data: z = (mean(x) - shift) / scale.

    Lengths that `downsampling` does not divide are filled up by repeating the edge, and cropped again.

    Arguments:
        shape: (C, *space) of a sample.
        size: the dial.
        downsampling: by how much each axis shrinks, a power of 2; None: 4 where the longest axis has 64 positions or more,
            else 2.
        latent_channels: C' of the latent.
        width, blocks: of the coarsest level, each finer one being half as wide; and blocks per level and direction. None:
            derived from `size`.

    Raises:
        UnsupportedError: samples have no axes in space, or more than three.
        ConfigError: a setting out of range.
    """

    learned: ClassVar[bool] = True
    shift: Tensor
    scale: Tensor

    def __init__(
        self,
        *,
        shape: tuple[int, ...],
        size: Size = "tiny",
        downsampling: int | None = None,
        latent_channels: int = 4,
        width: int | None = None,
        blocks: int | None = None,
    ) -> None:
        super().__init__()
        channels, *space = shape
        if not 1 <= len(space) <= 3:
            raise UnsupportedError(f"Samples of shape {shape} have no latents: expected (C, *space) with one to three axes")
        factor = (4 if max(space) >= LARGE else 2) if downsampling is None else downsampling
        if factor < 2 or factor & (factor - 1) or factor > max(space):
            sides = " x ".join(map(str, space))
            raise ConfigError(f"codec.downsampling = {factor} does not fit samples of {sides}: expected a power of 2, "
                              "from 2 to their longest side")
        latent_channels = setting("codec.latent_channels", latent_channels, 0)
        width = setting("codec.width", width, _DIAL[size].width)
        levels = factor.bit_length() - 1
        widths = [max(1, width >> level) for level in reversed(range(levels))]
        fold: Factors = tuple(2 if n > 1 else 1 for n in space)
        self.shape, self.factors = shape, tuple(n**levels for n in fold)
        blocks = setting("codec.blocks", blocks, _DIAL[size].blocks)
        self.encoder = Encoder(channels, 2 * latent_channels, fold, widths, blocks)
        self.decoder = Decoder(latent_channels, channels, fold, widths, blocks)
        each = (latent_channels, *[1] * len(space))
        self.register_buffer("shift", torch.zeros(each))
        self.register_buffer("scale", torch.ones(each))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x), as the decoder takes z: both (B, C', *space')."""
        mean, log_variance = self.encoder(pad(x.movedim(1, -1), self.factors)).movedim(-1, 1).chunk(2, dim=1)
        return mean, log_variance.clamp(LOWEST, HIGHEST)

    def reconstruct(self, z: Tensor) -> Tensor:
        """x̂ of a sample of q(z | x)."""
        return crop(self.decoder(z.movedim(1, -1)), self.shape[1:]).movedim(-1, 1)

    @property
    def last(self) -> Tensor:
        """The last weights that a reconstruction passes."""
        return self.decoder.head.kernel.weight

    def encode(self, x: Tensor) -> Tensor:
        return (self.posterior(x)[0] - self.shift) / self.scale

    def decode(self, z: Tensor) -> Tensor:
        return self.reconstruct(z * self.scale + self.shift)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if shape != self.shape:
            raise UnsupportedError(f"The codec was made for samples of shape {self.shape}, not {shape}")
        return self.shift.shape[0], *divide(shape[1:], self.factors)

    @torch.no_grad()
    def standardise(self, means: Iterable[Tensor]) -> None:
        """Set shift and scale so that means of q(z | x), batches of (B, C', *space'), get mean 0 and variance 1.

        In each channel, over all batches.
        """
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for batch in means:
            values = batch.cpu().double().movedim(1, 0).flatten(1)
            count, total, squares = count + values.shape[1], total + values.sum(1), squares + (values**2).sum(1)
        mean = total / count
        self.shift.copy_(mean.reshape(self.shift.shape))
        self.scale.copy_((squares / count - mean**2).clamp(min=1e-12).sqrt().reshape(self.scale.shape))

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        shape = (3, 10, 7)
        return cls(shape=shape, downsampling=4, width=8), shape
