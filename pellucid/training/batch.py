"""What one step of training sees."""

from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class Batch:
    """x0 (B, C, *space); eps (B, ...), noise; ids (B,) of the samples in the pack."""

    x0: Tensor
    eps: Tensor
    ids: NDArray[np.int64]

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What the loss takes."""
        return self.x0, self.eps

    def name(self, index: int) -> str:
        """Of one sample, for messages."""
        return f"sample {int(self.ids[index])}"

    def part(self, which: slice) -> Self:
        """Some of its samples."""
        return replace(self, x0=self.x0[which], eps=self.eps[which], ids=self.ids[which])

    def split(self, size: int) -> list[Self]:
        """Consecutive parts of at most `size` samples."""
        return [self.part(slice(i, i + size)) for i in range(0, len(self.ids), size)]


class BatchSource(Protocol):
    """`source(start, n)`: what training sees at positions start .. start + n - 1 of its stream of samples."""

    @property
    def device(self) -> torch.device:
        """Where batches are."""

    def __call__(self, start: int, n: int) -> Batch: ...
