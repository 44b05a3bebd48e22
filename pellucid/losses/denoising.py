"""The regression loss: squared error of the network's own target, weighted by noise level."""

import torch
from torch import Tensor, nn

from pellucid.core.shapes import expand, mean_per_sample, rows_of
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.predicting import Predicting
from pellucid.denoisers.prediction import combination, skip_and_out
from pellucid.losses.adaptive import Adaptive
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.weighting import Weighting


class DenoisingLoss(Loss):
    """w(t) |D(x_t, t, cond) - x0|^2, averaged over the elements of each sample, computed on the network's output.

    Where parts of a sample have times of their own, the error of each is weighted by its own, and those at t = 0, which are
    known, take no part. Where values may be missing, NaN in x0 is one: it is 0, the mean, before noise, and takes no part in
    the average.

    Arguments:
        denoiser: what is trained.
        weighting: w; may have parameters of its own, which are trained along.
        times: that are drawn by what the losses were, if they are.
        fourier: factor of the mean over frequencies, along all axes of space, of |FFT(D) - FFT(x0)|, which is added to the
            network's error in units of c_out (Yuan and Qiao 2024, Diffusion-TS, eq. 10). There it reads as a square, which
            by Parseval's theorem is the first term once more; their code has the absolute value, as here.
        missing: whether values may be.
        importance: weights (C, *space) of the squares of single values; None: all alike.
    """

    scale: Tensor | None

    def __init__(
        self,
        *,
        denoiser: Predicting,
        weighting: Weighting,
        times: Adaptive | None = None,
        fourier: float = 0.0,
        missing: bool = False,
        importance: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.weighting = weighting
        self.times = times
        self.fourier = fourier
        self.missing = missing
        self.register_buffer("scale", None if importance is None else importance.sqrt(), persistent=False)
        self.profile = None if times is None else times.profile

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def stepped(self) -> None:
        if self.profile is not None:
            self.profile.fold()

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        """x0, eps (B, C, *space); t (B,), or broadcastable to x0."""
        denoiser, schedule = self.denoiser, self.denoiser.process.schedule
        t = torch.as_tensor(t, dtype=torch.float64)
        known = ~x0.isnan() if self.missing else None
        x0 = x0 if known is None else torch.where(known, x0, 0)
        sizes = denoiser.sigma_data * denoiser.scale, denoiser.scale
        a, b = combination(denoiser.prediction, schedule, expand(t, x0), *sizes)
        target = a.to(x0) * x0 + b.to(x0) * eps.to(x0)
        output = denoiser.predict(denoiser.process.corrupt(x0, t, eps), t, cond)
        away = output - target if known is None else torch.where(known, output - target, 0)
        away = away if self.scale is None else away * self.scale.to(away)
        error = rows_of(away**2, t).mean(1) if known is None else _mean(rows_of(away**2, t), rows_of(known, t))
        if self.fourier:
            spectrum = torch.fft.fftn(away, dim=tuple(range(2, away.ndim)), norm="ortho")
            error = error + self.fourier * mean_per_sample(spectrum.abs())
        levels = t.flatten()
        noisy = levels.nonzero().squeeze(1)  # at t = 0 there is nothing to learn
        levels, error = levels[noisy], error[noisy.to(error.device)]
        c_out = skip_and_out(denoiser.prediction, schedule, levels, denoiser.sigma_data)[1]
        weighted = self.weighting(error, c_out, schedule, levels, denoiser.sigma_data)
        if self.times is not None:
            slices = self.times.slices(levels, schedule)
            self.times.profile.add(slices, weighted)
            weighted = weighted / self.times.densities()[slices].to(weighted)
        owner = (noisy // (t.numel() // len(x0))).to(error.device)
        return Losses(_mean_of(weighted, owner, len(x0)), _mean_of((c_out**2).to(error) * error.detach(), owner, len(x0)))


def _mean(values: Tensor, known: Tensor) -> Tensor:
    """Of each row over those that are known; 0 where none is."""
    return (values * known).sum(1) / known.sum(1).clamp(min=1)


def _mean_of(values: Tensor, owner: Tensor, count: int) -> Tensor:
    """Over the values that each of `count` samples owns; 0 where it owns none."""
    each = torch.bincount(owner, minlength=count).clamp(min=1)
    return values.new_zeros(count).index_add(0, owner, values) / each
