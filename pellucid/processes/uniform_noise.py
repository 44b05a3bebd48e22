"""Uniform noise."""

from collections.abc import Sequence
from math import sqrt
from typing import ClassVar

from torch import Tensor

from pellucid.core.random import Draws
from pellucid.processes.noise import Noise


class UniformNoise(Noise):
    """Uniform on [-√3, √3], which has variance 1. Sums of increments are not uniform, so each one is drawn."""

    stable: ClassVar[bool] = False

    def draw(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return (2 * draws.uniform(purpose, step, shape) - 1) * sqrt(3)
