"""The exact mixture as every kind of denoiser that a sampler may meet, and a source of given noise."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Posterior
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.schedule import Schedule
from reference.case import COVARIANCES, MEANS, WEIGHTS
from reference.levels import Array


class Given:
    """A source of noise that hands out given arrays, one for each step, once."""

    def __init__(self, arrays: Sequence[Array | Tensor]) -> None:
        self.left = {step: torch.as_tensor(array) for step, array in enumerate(arrays)}

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return self.left.pop(step)

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        raise AssertionError((purpose, step, shape))


def network(schedule: Schedule) -> Mixture:
    weights, means, covariances = (torch.from_numpy(part) for part in (WEIGHTS, MEANS, COVARIANCES))
    return Mixture(Gaussian(schedule=schedule), weights=weights, means=means, covariances=covariances)


class Sampled(Posterior):
    """A posterior all of whose samples are one point."""

    def __init__(self, x0: Tensor) -> None:
        self._x0 = x0

    def sample(self, draws: Any, step: int) -> Tensor:  # noqa: ARG002
        return self._x0


class ConsistencyModel(Denoiser):
    """f(x, t) = the posterior mean, offered as a sample."""

    offers = frozenset({"sample"})

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:  # noqa: ARG002
        return Sampled(network(self.process.schedule)(x_t, t).mean)
