"""The loss of a Wiener denoiser: squared error of what the best linear denoiser leaves."""

import torch
from torch import Tensor, nn

from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.wiener import Wiener
from pellucid.losses.loss import Loss, Losses


class FilteringLoss(Loss):
    """|F - P^(-1/2) (x0 - m)|², averaged over the elements of each sample, in the notation of `Wiener`.

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
        return {"missing": self.denoiser.shape} if self.missing else {}

    def forward(
        self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None, noises: dict[str, Tensor] | None = None
    ) -> Losses:
        """x0, eps (B, C, *space); t (B,)."""
        denoiser = self.denoiser
        with torch.no_grad():
            if self.missing and noises:
                x0 = denoiser.completed(x0, noises["missing"])
            x_t = denoiser.process.corrupt(x0, t, eps)
            mean, seen, roots = denoiser.linear(x_t, t, cond)
            target = denoiser.target(x0, mean, roots)
        answer = denoiser.answer(x_t, t, cond, seen)
        error = mean_per_sample((answer - target) ** 2)
        with torch.no_grad():
            away = mean_per_sample((mean + denoiser.turned(answer, roots) - x0) ** 2)
        return Losses(error, away)
