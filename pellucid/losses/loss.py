"""The contract of a loss: what is trained, and how far from its aim it is on each sample."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Losses:
    """Per sample, (B,): `weighted` is what is minimised; `x0_error` is the mean squared error of the clean data."""

    weighted: Tensor
    x0_error: Tensor


class Loss(nn.Module, ABC):
    """A function of a batch, whose parameters are all trained: those of a model's part, and any that help to train it.

    `progress` of training, from 0 to 1, is set before each step.
    """

    progress: float = 0.0

    @property
    @abstractmethod
    def trained(self) -> nn.Module:
        """The part that goes into the model."""

    @property
    def noises(self) -> dict[str, tuple[int, ...]]:
        """Standard normal numbers that it needs besides eps: a name and the shape for one sample."""
        return {}

    def stepped(self) -> None:
        """After each step: what was learned of the losses themselves may count from here on."""

    @abstractmethod
    def forward(self, *batch: Any) -> Losses:
        """Of a batch's tensors (B, ...)."""
