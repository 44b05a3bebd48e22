"""The regression loss: squared error of the network's own target, weighted by noise level."""

import torch
from torch import Tensor, nn

from pellucid.core.shapes import expand, mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.predicting import Predicting
from pellucid.denoisers.prediction import combination, skip_and_out
from pellucid.losses.adaptive import Adaptive
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.weighting import Weighting


class DenoisingLoss(Loss):
    """w(t) |D(x_t, t, cond) - x0|^2, averaged over the elements of each sample, computed on the network's output.

    Arguments:
        denoiser: what is trained.
        weighting: w; may have parameters of its own, which are trained along.
        times: that are drawn by what the losses were, if they are.
    """

    def __init__(self, *, denoiser: Predicting, weighting: Weighting, times: Adaptive | None = None) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.weighting = weighting
        self.times = times
        self.profile = None if times is None else times.profile

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def stepped(self) -> None:
        if self.profile is not None:
            self.profile.fold()

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        """x0, eps (B, C, *space); t (B,)."""
        denoiser, schedule = self.denoiser, self.denoiser.process.schedule
        t = torch.as_tensor(t, dtype=torch.float64)
        a, b = combination(denoiser.prediction, schedule, expand(t, x0), denoiser.sigma_data)
        target = a.to(x0) * x0 + b.to(x0) * eps.to(x0)
        output = denoiser.predict(denoiser.process.corrupt(x0, t, eps), t, cond)
        error = mean_per_sample((output - target) ** 2)
        c_out = skip_and_out(denoiser.prediction, schedule, t, denoiser.sigma_data)[1]
        weighted = self.weighting(error, c_out, schedule, t, denoiser.sigma_data)
        if self.times is not None:
            slices = self.times.slices(t, schedule)
            self.times.profile.add(slices, weighted)
            weighted = weighted / self.times.densities()[slices].to(weighted)
        return Losses(weighted, (c_out**2).to(error) * error.detach())
