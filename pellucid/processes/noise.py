"""The contract of a kind of noise: independent numbers of mean 0 and variance 1."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pellucid.core.random import Draws


@dataclass(frozen=True)
class Noise(ABC):
    """A distribution of mean 0 and variance 1, drawn by key.

    `stable` says that sums of scaled draws are again of this kind, so that many increments can be drawn as one.
    """

    stable: ClassVar[bool]

    @abstractmethod
    def draw(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """(B, *shape), float64."""
