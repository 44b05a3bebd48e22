"""The exact mixture as every kind of denoiser that a sampler may meet, and a source of given noise."""

from collections.abc import Sequence
from typing import Any

import torch
from reference.case import COVARIANCES, MEANS, WEIGHTS
from reference.levels import Array
from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Mean, Posterior
from pellucid.denoisers.prediction import Prediction, convert, skip_and_out
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.schedule import Schedule


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


class Predicting(Denoiser):
    """A network that predicts `kind`, in the precision of the state."""

    def __init__(self, schedule: Schedule, kind: Prediction) -> None:
        super().__init__(Gaussian(schedule=schedule))
        self.kind, self.truth = kind, network(schedule)

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:  # noqa: ARG002
        schedule, wide = self.process.schedule, x_t.double()
        output = convert(self.truth(wide, t).mean, "x0", self.kind, wide, schedule, t).to(x_t)
        c_skip, c_out = (c.to(x_t) for c in skip_and_out(self.kind, schedule, t))
        return Mean(c_skip * x_t + c_out * output)


class Point(Denoiser):
    """Data that is one point, 0.7."""

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:  # noqa: ARG002
        return Mean(torch.full_like(x_t, 0.7))
