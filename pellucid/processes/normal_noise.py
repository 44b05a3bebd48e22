"""Gaussian noise."""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from pellucid.core.random import Draws
from pellucid.processes.noise import Noise


class NormalNoise(Noise):
    """Standard normal. Stable: a sum of increments is one draw."""

    stable: ClassVar[bool] = True

    def draw(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return draws.normal(purpose, step, shape)
