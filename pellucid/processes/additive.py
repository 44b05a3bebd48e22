"""The additive chain: noise of any kind added in increments, x_{k+1} = x_k + sqrt(increment_k) z_k."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.random import Draws
from pellucid.processes import noises
from pellucid.processes.continuous import Continuous
from pellucid.processes.noise import Noise
from pellucid.schedules.additive import Additive
from pellucid.schedules.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class AdditiveChain(Continuous):
    """x_t = x0 + sum_{k < t T} sqrt(increment_k) z_k, z_k independent of the given kind with mean 0 and variance 1.

    Arguments:
        schedule: must be `additive`, whose increments these are.
        noise_kind: name of the kind of z_k ("gaussian", "uniform"). Sums of Gaussian increments are drawn as one; others
            are drawn increment by increment, which is exact and costs t T draws.

    Times are the levels k / T unless the schedule is the continuous limit, which only Gaussian noise has.
    """

    schedule: Schedule = field(default_factory=Additive)
    noise_kind: str = "gaussian"

    def __post_init__(self) -> None:
        if not isinstance(self.schedule, Additive):
            name = type(self.schedule).__name__
            raise ConfigError(f"The additive process came with schedule {name}, expected schedule.name = 'additive'")
        if not self.kind.stable and self.schedule.continuous:
            raise ConfigError(
                f"The continuous limit of {self.noise_kind} increments is Gaussian: set process.noise_kind = 'gaussian', or "
                "schedule.continuous = false"
            )

    @classmethod
    def example(cls) -> Self:
        return cls(schedule=Additive(steps=10), noise_kind="uniform")

    @property
    def chain(self) -> Additive:
        """The schedule, as the additive one that it is."""
        assert isinstance(self.schedule, Additive)
        return self.schedule

    @property
    def kind(self) -> Noise:
        """The distribution of each increment."""
        noise: Noise = build(noises, {"name": self.noise_kind})
        return noise

    @property
    def gaussian(self) -> bool:
        return self.kind.stable

    def snap(self, t: Tensor) -> Tensor:
        if self.chain.continuous:
            return t
        return torch.ceil(t * self.chain.steps - 1e-9) / self.chain.steps

    def increments(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Iterator[Tensor]:
        """sqrt(increment_k) z_k for k = 0 .. T - 1, each (B, *shape): cumulative sums give the path of each sample."""
        for k, variance in enumerate(self.chain.increments().tolist()):
            yield variance**0.5 * self.kind.draw(draws, f"{purpose}/increment {k}", step, shape)

    def noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int], t: Tensor) -> Tensor:
        if self.kind.stable:
            return self.kind.draw(draws, purpose, step, shape)
        t = torch.as_tensor(t, dtype=torch.float64)
        t = t.reshape(-1, *[1] * len(shape)) if t.ndim < 2 else t
        level = torch.round(t * self.chain.steps).clamp_min(1)  # t = 0 needs no noise and gets that of the first increment
        last, total = float(level.max()), torch.zeros((), dtype=torch.float64)
        for k, increment in enumerate(self.increments(draws, purpose, step, shape)):
            total = total + torch.where(k < level, increment, 0.0)
            if k + 1 >= last:
                break
        return total / self.schedule.sigma(level / self.chain.steps)

    def fresh_noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return self.kind.draw(draws, purpose, step, shape)
