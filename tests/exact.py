"""Exact oracles for tests of samplers, independent of them.

`flow` solves the probability-flow ODE of a Gaussian mixture with numpy and DOP853. `Pair` is the exact denoiser of two round
Gaussians, fast enough for very many samples. `Points` is that of weighted points on the line under any additive chain.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import solve_ivp
from torch import Tensor

from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Mean, Posterior, choose
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.process import Process
from pellucid.schedules.schedule import Schedule

Array = NDArray[np.float64]


def mixture(schedule: Schedule) -> Mixture:
    """The example's mixture along another schedule."""
    example = Mixture.example()
    process = Gaussian(schedule=schedule)
    return Mixture(process, weights=example.weights, means=example.means, covariances=example.covariances)


def flow(model: Mixture, y: Array, angles: Sequence[float], *, max_step: float = 0.02) -> list[Array]:
    """y = x / hypot(alpha, sigma) at the last angles, from y (B, D) at the first; angle = atan(sigma / alpha).

    On the circle alpha = cos, sigma = sin the ODE is dy/d angle = cos E[eps | y] - sin E[x0 | y], regular at both ends.
    """
    weights, means, covariances = model.weights.numpy(), model.means.numpy(), model.covariances.numpy()

    def slope(angle: float, flat: Array) -> Array:
        c, s = np.cos(angle), np.sin(angle)
        gap = flat.reshape(-1, 1, y.shape[1]) - c * means
        total = c * c * covariances + s * s * np.eye(y.shape[1])
        pull = np.einsum("mij,bmj->bmi", np.linalg.inv(total), gap)
        log_joint = np.log(weights) - 0.5 * ((gap * pull).sum(-1) + np.linalg.slogdet(total)[1])
        share = np.exp(log_joint - log_joint.max(1, keepdims=True))
        share = (share / share.sum(1, keepdims=True))[..., None]
        x0 = means + c * np.einsum("mij,bmj->bmi", covariances, pull)
        result: Array = (share * (c * s * pull - s * x0)).sum(1).ravel()  # E[eps | y] = s pull
        return result

    states = [y]
    for start, end in pairwise(angles):
        span = {"max_step": max_step, "rtol": 3e-14, "atol": 1e-14, "method": "DOP853"}
        states.append(solve_ivp(slope, (start, end), states[-1].ravel(), **span).y[:, -1].reshape(y.shape))
    return states[1:]


class Pair(Mixture):
    """0.6 N((-0.8, 0.3), 0.09 I) + 0.4 N((1, -0.5), 0.09 I): the posterior mean in a dozen operations, no samples."""

    offers = frozenset({"mean"})

    def __init__(self, process: Process) -> None:
        weights, means = torch.tensor([0.6, 0.4]).double(), torch.tensor([[-0.8, 0.3], [1.0, -0.5]]).double()
        super().__init__(process, weights=weights, means=means, covariances=0.09 * torch.eye(2).double().expand(2, 2, 2))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:  # noqa: ARG002
        alpha, sigma = self._scales(t)
        total = alpha**2 * 0.09 + sigma**2
        first, second = self.means
        odds = (self.weights[0] / self.weights[1]).log() + alpha**2 / 2 / total * (second @ second - first @ first)
        share = torch.addmv(odds, x_t, alpha / total * (first - second)).sigmoid_()[:, None]
        pull = sigma**2 / total
        return Mean((alpha * 0.09 / total * x_t).addcmul_(share, pull * (first - second)).add_(pull * second))


class Points(Denoiser):
    """p(x0) = sum_i w_i δ(x0 - y_i) on the line under an additive chain of uniform increments, whose sums are known exactly.

    With half-widths a_k = sqrt(3 increment_k) and the distribution function P_k of the first k increments together,

        p_{k+1}(x) = (P_k(x + a_k) - P_k(x - a_k)) / 2 a_k

    on a fine grid; the posterior weighs y_i by w_i p_k(x - y_i). Where no point explains x, the nearest has all the weight.

    Arguments:
        process: the chain that increments are taken from.
        reach: x is within [-reach, reach].
        spacing: of the grid.
    """

    offers = frozenset({"mean", "sample"})

    def __init__(self, process: AdditiveChain, points: Tensor, weights: Tensor, *, reach: float, spacing: float) -> None:
        super().__init__(process)
        self.points, self.weights, self.reach, self.spacing = points, weights, reach, spacing
        y, self.sums = points.numpy(), np.arange(-2 * reach, 2 * reach + spacing / 2, spacing)
        gaps = np.arange(-reach, reach + spacing / 2, spacing)[:, None] - y
        nearest = np.eye(len(y))[np.abs(gaps).argmin(1)]
        self.densities, self.distributions, self.shares = [], [], []
        for k, half in enumerate((3 * process.chain.increments()).sqrt().tolist()):
            density, distribution = self._widened(k, half)
            joint = weights.numpy() * np.interp(gaps, self.sums, density)
            total = joint.sum(1, keepdims=True)
            self.densities.append(density)
            self.distributions.append(distribution)
            self.shares.append(torch.from_numpy(np.where(total > 1e-12, joint / np.maximum(total, 1e-12), nearest)))
        self.averages = [share @ points for share in self.shares]

    def _widened(self, k: int, half: float) -> tuple[Array, Array]:
        """Density and distribution function of k + 1 increments from those of k."""
        if k == 0:
            return (np.abs(self.sums) < half) / (2 * half), np.clip((self.sums + half) / (2 * half), 0, 1)
        before = self.distributions[-1]
        density = (np.interp(self.sums + half, self.sums, before) - np.interp(self.sums - half, self.sums, before)) / (
            2 * half
        )
        steps = (density[1:] + density[:-1]) / 2 * self.spacing
        return density, np.concatenate([[0.0], np.cumsum(steps)])

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "PointsPosterior":  # noqa: ARG002
        level = self._level(t)
        place = ((x_t[:, 0] + self.reach) / self.spacing).round_().long().clamp_(0, len(self.averages[level]) - 1)
        return PointsPosterior(self, level, place)

    def _level(self, t: Tensor) -> int:
        """Index of the last increment."""
        return round(float(t) * len(self.shares)) - 1

    def draw(self, draws: Draws, t: Tensor) -> Tensor:
        """Exact draws of x_t, (B, 1), by inverting the distribution function."""
        x0 = self.points[choose(draws.uniform("point", 0, ()), self.weights.expand(1, -1))]
        last = self.distributions[self._level(t)]
        rising = np.concatenate([[True], np.diff(last) > 0])
        noise = np.interp(draws.uniform("noise", 0, ()).numpy(), last[rising], self.sums[rising])
        return (x0 + torch.from_numpy(noise))[:, None]


class PointsPosterior(Posterior):
    """Looked up at `place` of the tables of a level."""

    def __init__(self, prior: Points, level: int, place: Tensor) -> None:
        self.prior, self.level, self.place = prior, level, place

    @property
    def mean(self) -> Tensor:
        return self.prior.averages[self.level][self.place][:, None]

    def sample(self, draws: Draws, step: int) -> Tensor:
        share = self.prior.shares[self.level][self.place]
        return self.prior.points[choose(draws.uniform("posterior point", step, ()), share)][:, None]
