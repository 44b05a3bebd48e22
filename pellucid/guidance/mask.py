"""The operator that sees some values and not others."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Mask:
    """A x = x where `known` is 1, and 0 where it is 0.

    Arguments:
        known: of ones and zeros, broadcastable to (B, C, *space).
    """

    known: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.known.to(x)
