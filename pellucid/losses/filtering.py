"""The loss of a Wiener denoiser: squared error of what the best linear denoiser leaves."""

import torch
from torch import Tensor, nn

from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.wiener import Wiener
from pellucid.losses.loss import Loss, Losses

AGAIN = 8
"""Noise levels at which the leading directions of a sample are seen besides."""
FAR = 4.0
"""By which a noise level differs from a deviation, so that one tells next to nothing of the other."""


class FilteringLoss(Loss):
    """|F - P^(-1/2) (x0 - m)|², averaged over the elements of each sample, in the notation of `Wiener`.

    Where a second network knows the leading directions, its own error is added, at `AGAIN` noise levels more for each
    sample: the shape of the data as a whole shows at few of them, and such numbers are cheap.

    Arguments:
        denoiser: what is trained.
        missing: whether values of x0 may be NaN; they are then drawn anew each time, given the others.
    """

    def __init__(self, *, denoiser: Wiener, missing: bool = False) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.missing = missing

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    @property
    def noises(self) -> dict[str, tuple[int, ...]]:
        missing = {"missing": self.denoiser.shape} if self.missing else {}
        leading = self.denoiser.leading
        return {**missing, **({"leading": (AGAIN, leading + 1)} if leading else {})}

    def forward(
        self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None, noises: dict[str, Tensor] | None = None
    ) -> Losses:
        """x0, eps (B, C, *space); t (B,)."""
        denoiser = self.denoiser
        with torch.no_grad():
            if noises and "missing" in noises:
                x0 = denoiser.completed(x0, noises["missing"])
            x_t = denoiser.process.corrupt(x0, t, eps)
            mean, seen, roots = denoiser.linear(x_t, t, cond)
            target = denoiser.target(x0, mean, roots)
        answer = denoiser.answer(x_t, t, cond, seen)
        error = mean_per_sample((answer - target) ** 2)
        if noises and "leading" in noises:
            error = error + self._leading(x0, noises["leading"], cond)
        with torch.no_grad():
            away = mean_per_sample((mean + denoiser.turned(answer, roots) - x0) ** 2)
        return Losses(error, away)

    def _leading(self, x0: Tensor, noise: Tensor, cond: Cond | None) -> Tensor:
        """The second network's error (B,), at noise levels that are even in their logarithm from where nothing of the least
        of its directions is hidden to where nothing of the largest is seen.
        """
        variances = self.denoiser.variances[-self.denoiser.leading :]
        deviations = variances[variances > 0].sqrt()
        low, high = deviations.min() / FAR, FAR * deviations.max()
        share = torch.special.ndtr(noise[..., -1])
        answer, target = self.denoiser.led(x0, low * (high / low) ** share, noise[..., :-1], cond)
        return mean_per_sample((answer - target) ** 2)
