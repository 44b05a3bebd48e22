"""Noise, what is asked for, and what a teacher makes of it."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from pellucid.denoisers.denoiser import Cond


@dataclass(frozen=True)
class Pairs:
    """Noise x (N, C, *space), conditions of N rows, and what a teacher makes of them, (N, C, *space)."""

    x: Tensor
    cond: Cond
    made: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: slice | Tensor) -> Self:
        return type(self)(self.x[rows], {name: value[rows] for name, value in self.cond.items()}, self.made[rows])
