"""What every process is: clean data made noisy up to a time t, and what is left of it at t = 1.

Times `t` and `s` have shape (B,) or broadcast against x_t: one per sample, per frame or per token. At t = 0 data is as it
is; at t = 1 nothing of it is left, or next to nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws
from pellucid.schedules.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Process(ABC):
    """Corruption of data along a schedule. Of values it is `Continuous`, of tokens `Discrete`."""

    schedule: Schedule

    @classmethod
    def of(cls, process: "Process") -> Self:
        """`process`, if it is of this kind.

        Raises:
            UnsupportedError: it is of another.
        """
        if not isinstance(process, cls):
            raise UnsupportedError(f"A process of kind {cls.__name__} is needed here, and {type(process).__name__} is none")
        return process

    @property
    def gaussian(self) -> bool:
        """Whether x_t given x0 is Gaussian at every t, which deterministic samplers and likelihoods assume."""
        return False

    @abstractmethod
    def noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int], t: Tensor) -> Tensor:
        """eps for x_t: (B, *shape), float64; `t` is (B,), a scalar, or broadcasts against x_t."""

    @abstractmethod
    def corrupt(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t, of the shape of x0."""

    @abstractmethod
    def prior(self, eps: Tensor, *, mean: float = 0.0, std: float = 0.0) -> Tensor:
        """A draw of x_1 from noise, for data of the given mean and standard deviation."""

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""

    def snap(self, t: Tensor) -> Tensor:
        """The nearest admissible times at or above `t`; a continuous process admits all."""
        return t

    def check_prior(self, std: float) -> float:  # noqa: ARG002
        """How much of data of this standard deviation is still to be seen at t = 1, beside the noise. 0 is ideal.

        Raises:
            ConfigError: too much; then no prior that ignores the data can be right.
        """
        return 0.0
