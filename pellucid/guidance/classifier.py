"""Classifier guidance. Dhariwal and Nichol 2021, eq. 14, written for the posterior mean."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean
from pellucid.processes.continuous import Continuous

LogProb = Callable[[Tensor, Tensor, Cond | None], Tensor]
"""(x_t, t, cond) -> log p(cond | x_t), (B,): a classifier that has seen noise."""


class Classifier(Denoiser):
    """D' = D + (w - 1) sigma_t^2 / alpha_t ∇ log p(cond | x_t): the score of p(x_t) p(cond | x_t)^(w - 1), by Tweedie.

    The wrapped denoiser may itself be conditional; if it is not, w = 2 samples the exact conditional. Where alpha = 0 the
    classifier knows nothing and the denoiser is left as it is.

    Arguments:
        denoiser: the one to guide.
        log_prob: the classifier.
        guidance: w; 1 leaves the denoiser as it is.
    """

    def __init__(self, denoiser: Denoiser, log_prob: LogProb, guidance: float) -> None:
        super().__init__(denoiser.process)
        self.denoiser, self.log_prob, self.guidance = denoiser, log_prob, guidance

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        mean = self.denoiser(x_t, t, cond).mean
        if self.guidance == 1:
            return Mean(mean)
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(self.log_prob(x, t, cond).sum(), x)
        alpha, sigma = Continuous.of(self.process).scales(expand(torch.as_tensor(t), x_t), x_t)
        gain = torch.where(alpha > 0, (self.guidance - 1) * sigma**2 / alpha, torch.zeros_like(alpha))
        return Mean(mean + gain * gradient)

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        return self.denoiser.calls(t, conditional)
