"""Noise levels weighted by a learned variance, so that none dominates. Karras et al. 2024 (EDM2), eq. 15."""

import torch
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.denoisers.preconditioning import noise_level
from pellucid.losses import weightings
from pellucid.losses.weighting import Weighting
from pellucid.schedules.schedule import Schedule


class LearnedVariance(Weighting):
    """loss / exp(u) + u with u a small function of the noise level, trained along: its optimum is u = log E[loss].

    Arguments:
        base: name of the weighting whose levels are evened out.
        features: Fourier features of the noise level.
    """

    frequencies: Tensor

    def __init__(self, *, base: str = "edm", features: int = 32) -> None:
        super().__init__()
        self.base: Weighting = build(weightings, {"name": base})
        self.register_buffer("frequencies", torch.arange(1, features // 2 + 1) * (torch.pi / 6), persistent=False)
        self.log_variance = nn.Linear(features, 1)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.zeros_(self.log_variance.bias)

    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor | None:
        return self.base.x0_weight(schedule, t, sigma_data)

    def forward(self, loss: Tensor, c_out: Tensor, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:
        weighted = super().forward(loss, c_out, schedule, t, sigma_data)
        phase = noise_level("edm", schedule, t).to(weighted)[:, None] * self.frequencies.to(weighted)
        u: Tensor = self.log_variance(torch.cat([phase.cos(), phase.sin()], 1))[:, 0]
        return weighted / u.exp() + u
