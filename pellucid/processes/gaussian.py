"""The Gaussian process along any schedule."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from pellucid.core.random import Draws
from pellucid.processes.continuous import Continuous
from pellucid.schedules.rectified import Rectified


@dataclass(frozen=True, kw_only=True)
class Gaussian(Continuous):
    """x_t = alpha_t x0 + sigma_t eps with eps standard normal, for any schedule."""

    @classmethod
    def example(cls) -> Self:
        return cls(schedule=Rectified())

    @property
    def gaussian(self) -> bool:
        return True

    def noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int], t: Tensor) -> Tensor:  # noqa: ARG002
        return draws.normal(purpose, step, shape)

    def fresh_noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return draws.normal(purpose, step, shape)
