"""The codec around an autoencoder of diffusers."""

from typing import Any

import torch
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.core.errors import UnsupportedError


class Autoencoder(Codec):
    """z = (E(x) - shift) scale, x = D(z / scale + shift). Rombach et al. 2022 (latent diffusion), section 3.1.

    E is the mean of what a KL autoencoder (`AutoencoderKL`) finds; a `VQModel` decodes to the nearest of its codes.

    Arguments:
        network: the component, whose configuration has scale and shift, for all channels or for each.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        config = network.config
        self.network, self.factor = network, 2 ** (len(config.block_out_channels) - 1)
        mean, spread = config.get("latents_mean"), config.get("latents_std")
        self.shift: Tensor = _column(mean) if mean and spread else torch.tensor(float(config.get("shift_factor") or 0))
        self.scale: Tensor = config.scaling_factor / (_column(spread) if mean and spread else torch.tensor(1.0))

    def encode(self, x: Tensor) -> Tensor:
        found = self.network.encode(x.to(self.network.dtype))
        latent: Tensor = found.latent_dist.mean if hasattr(found, "latent_dist") else found.latents
        shift, scale = self.shift.to(x), self.scale.to(x)
        return (latent.to(x) - shift) * scale

    def decode(self, z: Tensor) -> Tensor:
        latent = z / self.scale.to(z) + self.shift.to(z)
        picture: Tensor = self.network.decode(latent.to(self.network.dtype), return_dict=False)[0]
        return picture.to(z)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        _, *space = shape
        if any(length % self.factor for length in space):
            raise UnsupportedError(f"Pictures of {tuple(space)} cannot be encoded: expected multiples of {self.factor}")
        return (self.network.config.latent_channels, *(length // self.factor for length in space))


def _column(values: Any) -> Tensor:
    return torch.as_tensor(values, dtype=torch.float32).reshape(-1, 1, 1)
