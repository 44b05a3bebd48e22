"""The exact denoiser of a finite data set: the floor of every training loss, and what memorising looks like."""

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


class Dataset(Denoiser):
    """p(x0) = 1/N sum_i δ(x0 - y_i): the posterior weighs the N points by exp(-|x_t - alpha y_i|^2 / (2 sigma^2)).

    Arguments:
        process: Gaussian, any schedule.
        points: (N, C, *space).
    """

    offers: frozenset[str] = frozenset({"mean", "sample"})

    def __init__(self, process: Process, *, points: Tensor) -> None:
        super().__init__(process)
        if not process.gaussian:
            raise UnsupportedError("The exact data-set denoiser is known for Gaussian noise only")
        self.points = points

    @classmethod
    def example(cls) -> Self:
        angles = torch.arange(5, dtype=torch.float64)
        return cls(Gaussian(schedule=EDM()), points=torch.stack([angles.cos(), angles.sin()], 1))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "DatasetPosterior":  # noqa: ARG002
        t = time_per_sample(torch.as_tensor(t, dtype=torch.float64), len(x_t))
        alpha, sigma = self.process.schedule.alpha(t), self.process.schedule.sigma(t)
        flat, points = x_t.flatten(1).double(), self.points.flatten(1).double()
        # -|x - alpha y|^2 / 2 sigma^2, less the part that is the same for all points
        energy = (alpha * (flat @ points.T) - alpha**2 * (points**2).sum(1) / 2) / sigma**2
        return DatasetPosterior(self.points, energy.softmax(1))


class DatasetPosterior(Posterior):
    """Weights (B, N), float64, over the points of a data set."""

    def __init__(self, points: Tensor, weights: Tensor) -> None:
        self.points, self.weights = points, weights

    @property
    def mean(self) -> Tensor:
        return (self.weights.to(self.points) @ self.points.flatten(1)).reshape(-1, *self.points.shape[1:])

    def sample(self, draws: Draws, step: int) -> Tensor:
        return self.points[choose(draws.uniform("posterior point", step, ()), self.weights)]
