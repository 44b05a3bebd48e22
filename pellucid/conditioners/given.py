"""Parts of a sample that are known, from which the rest is made: forecasting, filling gaps."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.core.errors import ConfigError


class Given(Conditioner):
    """Values in the space that is diffused, NaN where they are not known; the network sees them, and where they are, in 2 C
    channels beside x_t (Tashiro et al. 2021, CSDI, section 3.3).

    Arguments:
        shape: (C, *space) of what is diffused.
    """

    fixed: ClassVar[bool] = True

    def __init__(self, *, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    @property
    def channels(self) -> int:
        """That the network sees."""
        return 2 * self.shape[0]

    def forward(self, value: Tensor) -> Embedded:
        """(B, C, *space) -> planes (B, 2 C, *space): the values, 0 where unknown, then 1 where known."""
        return Embedded(planes=torch.cat([value.nan_to_num(nan=0.0), value.isfinite().to(value)], dim=1))

    def null(self, count: int) -> Tensor:
        return torch.full((count, *self.shape), torch.nan)

    def parse(self, value: Any, count: int) -> Tensor:
        """(C, *space) or a batch of such, repeated to `count`."""
        known = torch.as_tensor(value).float()
        known = known[None] if known.ndim == len(self.shape) else known
        if tuple(known.shape[1:]) != self.shape or not len(known):
            expected = ", ".join(map(str, self.shape))
            raise ConfigError(f"What is given has the shape {tuple(known.shape)}, expected (n, {expected})")
        return known[torch.arange(count) % len(known)]
