"""What was seen of the data: y = A x0 + noise."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor

from pellucid.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Observation:
    """y = A x0 + noise z, with z standard normal.

    Arguments:
        operator: A, linear and differentiable by autograd, which thereby knows its adjoint: `Mask`, `Pooling`, or any
            function from (B, C, *space) to what is seen of it, in which samples stay apart.
        y: what was seen, a row for each sample or one for all.
        noise: its standard deviation; 0 holds samples to y as far as the solver does.
    """

    operator: Callable[[Tensor], Tensor]
    y: Tensor
    noise: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.noise < float("inf"):
            raise ConfigError(f"noise = {self.noise} is out of range: expected a standard deviation, 0 or more")

    def rows(self, first: int, count: int) -> "Observation":
        """Of `count` samples from the one with index `first` on."""
        return self if len(self.y) == 1 else replace(self, y=self.y[first : first + count])
