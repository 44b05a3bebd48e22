"""The loss that makes a regression's weights a consistency function's."""

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Cond
from pellucid.losses.loss import Loss, Losses

NEAREST = 8.0
"""Of the powers of 2 by which r comes near t."""
ROUND = 0.00054
"""Distances per value below which the loss is a square."""


class ConsistencyLoss(Loss):
    """huber(f(x_t, t) - f(x_r, r)) / (t - r), with the same x0 and eps in x_t and x_r, and no gradient through f(x_r, r).

        r = t (1 - 2^-a),   a from 1 at the start of training to 8 at its end
        huber(d) = sqrt(|d|^2 / D + c^2) - c,   D values, c = 0.00054

    Geng et al. 2024 (ECT), eq. 9 to 12, with a rising evenly; the distance is that of Song and Dhariwal 2023 (iCT), eq. 8,
    per value. f(x, 0) = x holds by construction, so what is learned at low noise spreads upwards.

    Arguments:
        denoiser: f.
    """

    def __init__(self, *, denoiser: Consistency) -> None:
        super().__init__()
        if denoiser.prediction == "x0":
            raise ConfigError("denoiser.prediction = 'x0' lets f(x, 0) be anything: expected edm, velocity, v or eps")
        self.denoiser = denoiser

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        """x0, eps (B, C, *space); t (B,)."""
        here, consistent = self.consistent(x0, torch.as_tensor(t, dtype=torch.float64), eps, cond)
        return Losses(consistent, mean_per_sample((here.detach() - x0) ** 2))

    def consistent(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None) -> tuple[Tensor, Tensor]:
        """f(x_t, t) and the loss, (B,)."""
        denoiser, process = self.denoiser, self.denoiser.process
        r = t * (1 - 2 ** -(1 + (NEAREST - 1) * self.progress))
        with torch.no_grad():
            nearer = denoiser.clean(process.corrupt(x0, r, eps), r, cond)
        here = denoiser.clean(process.corrupt(x0, t, eps), t, cond)
        distance = torch.sqrt(mean_per_sample((here - nearer) ** 2) + ROUND**2) - ROUND
        return here, distance / (t - r).to(distance)
