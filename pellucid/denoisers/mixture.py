"""The exact denoiser of a Gaussian mixture: ground truth for samplers, likelihoods and losses."""

from typing import Self

import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior, choose, time_per_sample
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.process import Process
from pellucid.schedules.edm import EDM


class Mixture(Denoiser):
    """p(x0) = sum_i w_i N(m_i, S_i) under a Gaussian process; everything about p(x0 | x_t) in closed form.

    With S_i = Q_i diag(s_i) Q_i^T and C_i = alpha^2 S_i + sigma^2 I, component i explains x_t with weight
    w_i N(x_t; alpha m_i, C_i) and has mean m_i + alpha S_i C_i^-1 (x_t - alpha m_i) and covariance sigma^2 S_i C_i^-1.

    Arguments:
        process: Gaussian, any schedule.
        weights: (M,), positive, summing to 1.
        means: (M, D).
        covariances: (M, D, D), positive semi-definite; zeros give points.
    """

    offers: frozenset[str] = frozenset({"mean", "sample"})

    def __init__(self, process: Process, *, weights: Tensor, means: Tensor, covariances: Tensor) -> None:
        super().__init__(process)
        if not process.gaussian:
            raise UnsupportedError("The exact mixture denoiser is known for Gaussian noise only")
        self.weights, self.means, self.covariances = weights, means, covariances
        self.variances, self.axes = torch.linalg.eigh(covariances)

    @classmethod
    def example(cls) -> Self:
        """Three components in the plane, unequal in weight, spread and direction; standard deviation near 1."""
        covariances = torch.tensor([[[0.04, 0.01], [0.01, 0.09]], [[0.16, -0.08], [-0.08, 0.06]], [[0.02, 0], [0, 0.02]]])
        return cls(
            Gaussian(schedule=EDM()),
            weights=torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
            means=torch.tensor([[-1.0, 0.2], [0.9, -0.7], [0.6, 1.3]], dtype=torch.float64),
            covariances=covariances.double(),
        )

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "MixturePosterior":  # noqa: ARG002
        alpha, sigma = (_column(scale, x_t) for scale in self._scales(t))
        gap = self._rotate(x_t[:, None] - alpha[..., None] * self.means)
        total = alpha[..., None] ** 2 * self.variances + sigma[..., None] ** 2
        return MixturePosterior(self, self._log_joint(gap, total).softmax(1), alpha, sigma, gap, total)

    def log_prob(self, x: Tensor, t: Tensor | float = 0.0) -> Tensor:
        """log p(x_t) in nats, (B,); at t = 0 that of the data itself."""
        alpha, sigma = (_column(scale, x) for scale in self._scales(t))
        gap = self._rotate(x[:, None] - alpha[..., None] * self.means)
        return self._log_joint(gap, alpha[..., None] ** 2 * self.variances + sigma[..., None] ** 2).logsumexp(1)

    def moments(self, t: Tensor | float = 0.0) -> tuple[Tensor, Tensor]:
        """Mean (D,) and covariance (D, D) of x_t."""
        alpha, sigma = self._scales(t)
        mean = self.weights @ self.means
        centred = self.means - mean
        covariance = torch.einsum("i,ijk->jk", self.weights, self.covariances + centred[:, :, None] * centred[:, None])
        return alpha * mean, alpha**2 * covariance + sigma**2 * torch.eye(len(mean), dtype=covariance.dtype)

    def draw(self, draws: Draws, t: Tensor | float = 0.0) -> Tensor:
        """Exact draws of x_t, (B, D)."""
        chosen = choose(draws.uniform("component", 0, ()), self.weights.expand(1, -1))
        spread = self.variances[chosen].clamp_min(0).sqrt() * draws.normal("spread", 0, self.means.shape[1:])
        x0 = self.means[chosen] + torch.einsum("bjk,bk->bj", self.axes[chosen], spread)
        alpha, sigma = (_column(scale, x0) for scale in self._scales(t))
        return alpha * x0 + sigma * draws.normal("eps", 0, self.means.shape[1:])

    def _scales(self, t: Tensor | float) -> tuple[Tensor, Tensor]:
        t = torch.as_tensor(t, dtype=torch.float64)
        return self.process.schedule.alpha(t).to(self.means), self.process.schedule.sigma(t).to(self.means)

    def _rotate(self, x: Tensor) -> Tensor:
        """(B, M, D) into the axes of each component."""
        return torch.einsum("mjk,bmj->bmk", self.axes, x)

    def _log_joint(self, gap: Tensor, total: Tensor) -> Tensor:
        """log w_i N(x_t; alpha m_i, C_i), (B, M)."""
        return self.weights.log() - 0.5 * (gap**2 / total + (2 * torch.pi * total).log()).sum(-1)


class MixturePosterior(Posterior):
    """p(x0 | x_t) of a mixture: a mixture again."""

    def __init__(self, prior: Mixture, share: Tensor, alpha: Tensor, sigma: Tensor, gap: Tensor, total: Tensor) -> None:
        self.prior, self.share, self.alpha, self.sigma, self.gap, self.total = prior, share, alpha, sigma, gap, total

    def _centres(self) -> Tensor:
        """Mean of each component given x_t, (B, M, D)."""
        pull = self.alpha[..., None] * self.prior.variances / self.total * self.gap
        return self.prior.means + torch.einsum("mjk,bmk->bmj", self.prior.axes, pull)

    @property
    def mean(self) -> Tensor:
        return torch.einsum("bm,bmj->bj", self.share, self._centres())

    def sample(self, draws: Draws, step: int) -> Tensor:
        chosen = choose(draws.uniform("posterior component", step, ()), self.share)
        rows = torch.arange(len(chosen))
        variance = (self.sigma[..., None] ** 2 * self.prior.variances / self.total).expand(self.gap.shape)[rows, chosen]
        spread = variance.clamp_min(0).sqrt() * draws.normal("posterior spread", step, variance.shape[1:]).to(variance)
        return self._centres()[rows, chosen] + torch.einsum("bjk,bk->bj", self.prior.axes[chosen], spread)


def _column(scale: Tensor, x: Tensor) -> Tensor:
    """A time's scale as (B, 1) or (1, 1)."""
    return time_per_sample(scale, len(x)).to(x)
