"""A fast source of numbers for tests with very many samples: one torch generator for the whole batch."""

from collections.abc import Sequence

import torch
from torch import Tensor


class FastDraws:
    """The `Draws` of `n` samples; numbers depend on the order of calls."""

    def __init__(self, n: int, seed: int = 0) -> None:
        self.n = n
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return torch.randn(self.n, *shape, generator=self.generator, dtype=torch.float64)

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return torch.rand(self.n, *shape, generator=self.generator, dtype=torch.float64)
