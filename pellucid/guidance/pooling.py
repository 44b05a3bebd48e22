"""The operator that sees data at a lower resolution."""

from dataclasses import dataclass

from torch import Tensor

from pellucid.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """A x = means over blocks of `factor` along each axis of space; what is left over at an end is not seen.

    Arguments:
        factor: values along a side of a block.
    """

    factor: int

    def __post_init__(self) -> None:
        if self.factor < 1:
            raise ConfigError(f"factor = {self.factor} is out of range: expected a whole number from 1")

    def __call__(self, x: Tensor) -> Tensor:
        for axis in range(2, x.ndim):
            count = x.shape[axis] // self.factor
            blocks = *x.shape[:axis], count, self.factor, *x.shape[axis + 1 :]
            x = x.narrow(axis, 0, count * self.factor).reshape(blocks).mean(axis + 1)
        return x
