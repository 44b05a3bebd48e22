"""Features without weights, for data of any channels and size: where a picture is bright, and how strongly it varies in each
direction at each scale.

    intensities: the mean of each channel in 4 x 4 cells
    amplitudes:  the mean over channels of |x * ψ_θ| in 4 x 4 cells, at 4 directions θ, at full size, half, a quarter, ...

ψ is the Morlet wavelet of Bruna & Mallat 2013, "Invariant scattering convolution networks", section 2.1, at its finest scale
(ξ = 3π/4, σ = 0.8), and the amplitudes are of first order. Scales are halvings of the picture, as in the pyramid of Portilla
& Simoncelli 2000, "A parametric texture model based on joint statistics of complex wavelet coefficients". Halving averages
2 x 2 pixels and goes on while the shorter side has 8 or more.

A few hundred numbers, so that 2,000 samples determine a covariance; nothing learned, so that figures compare everywhere.
They see noise, blur, contrast, colour, composition and texture: on them a linear classifier tells 84% of Fashion-MNIST
apart, 99% of digits. They know no objects: where a network fits the data, take that.
"""

from math import pi
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, pad

from pellucid.evaluation.network import FeatureNetwork, no_weights
from pellucid.evaluation.source import Source

DIRECTIONS, CELLS = 4, 4
FREQUENCY, WIDTH, REACH = 3 * pi / 4, 0.8, 3
SHORTEST = 8  # side that is halved


class FixedFeatures(FeatureNetwork):
    """Pictures (B, C, H, W) to features (B, 16 C + 64 S) of S scales."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("bank", morlets(), persistent=False)
        self.bank: Tensor

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        no_weights(weights, "fixed")
        return cls().eval()

    def embed(self, pictures: Tensor) -> Tensor:
        found = [adaptive_avg_pool2d(pictures, CELLS).flatten(1)]
        while True:
            found.append(self._amplitudes(pictures).flatten(1))
            if min(pictures.shape[2:]) < SHORTEST:
                return torch.cat(found, 1)
            pictures = avg_pool2d(pictures, 2)

    def _amplitudes(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) to (B, DIRECTIONS, CELLS, CELLS)."""
        planes = pad(pictures.flatten(0, 1)[:, None], (REACH,) * 4, mode="replicate")
        real, imaginary = conv2d(planes, self.bank).chunk(2, 1)
        amplitude = (real.square() + imaginary.square() + 1e-12).sqrt()
        pooled = adaptive_avg_pool2d(amplitude, CELLS)
        return pooled.reshape(*pictures.shape[:2], *pooled.shape[1:]).mean(1)


def morlets() -> Tensor:
    """ψ(u) = g(u) (e^{iξ u_θ} - β) with g a Gaussian of mass 1 and β so that the mean is 0: real parts, then imaginary ones.

    (2 DIRECTIONS, 1, 7, 7).
    """
    axis = torch.arange(-REACH, REACH + 1, dtype=torch.float64)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    gauss = torch.exp(-(x**2 + y**2) / (2 * WIDTH**2))
    gauss = gauss / gauss.sum()
    angles = torch.arange(DIRECTIONS, dtype=torch.float64)[:, None, None] * (pi / DIRECTIONS)
    wave = torch.exp(1j * FREQUENCY * (x * torch.cos(angles) + y * torch.sin(angles)))
    beta = (gauss * wave).sum((1, 2), keepdim=True)
    bank = gauss * (wave - beta)
    return torch.cat([bank.real, bank.imag]).float()[:, None]
