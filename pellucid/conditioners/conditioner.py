"""The contract of a conditioner: it embeds one entry of `cond` and knows the entry that asks for nothing."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn


class Conditioner(nn.Module, ABC):
    """One entry of `cond`, embedded as a vector (B, width) that is added to the network's noise-level embedding."""

    @abstractmethod
    def forward(self, value: Tensor) -> Tensor:
        """(B, ...) as it stands in `cond` -> (B, width)."""

    @abstractmethod
    def null(self, count: int) -> Tensor:
        """`count` entries that ask for nothing, in the form that `forward` takes."""

    @abstractmethod
    def parse(self, value: Any, count: int) -> Tensor:
        """What a user asked for, `count` times over, in the form that `forward` takes.

        Raises:
            ConfigError: the conditioner does not know it; the message names the nearest it knows.
        """
