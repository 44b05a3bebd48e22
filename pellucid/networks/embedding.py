"""The noise level, and with it all conditions, as a vector that modulates the network."""

from math import pi

import torch
from torch import Tensor, nn
from torch.nn.functional import silu


class NoiseEmbedding(nn.Module):
    """embedding = silu(W2 silu(W1 [cos(ω c_noise), sin(ω c_noise)] + vector))

    The frequencies ω / 2π are geometric from 1/16 to 2 periods per unit: c_noise spans a few units (0 to 1 for a time,
    -2.5 to 2.5 for -log_snr / 8), over which the lowest makes a third of a turn. The highest is low on purpose:
    derivatives in time, which consistency training takes, grow with it (Lu and Song 2024, sCM, section 4.1).

    Shapes: c_noise (B, *grid) with grid axes of length one where the level is shared; vector (B, width); the result
    (B, *grid, width).
    """

    frequencies: Tensor

    def __init__(self, width: int, features: int = 64) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 * pi * 2 ** torch.linspace(-4, 1, features // 2), persistent=False)
        self.hidden = nn.Linear(features, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, c_noise: Tensor, vector: Tensor | None = None) -> Tensor:
        angles = c_noise.to(self.frequencies.dtype).unsqueeze(-1) * self.frequencies
        hidden = self.hidden(torch.cat([angles.cos(), angles.sin()], dim=-1))
        if vector is not None:
            hidden = hidden + vector.reshape(vector.shape[0], *(1,) * (hidden.ndim - 2), -1)
        return silu(self.output(silu(hidden)))
