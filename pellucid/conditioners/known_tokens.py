"""Tokens that are known, from which the others are made: they stand in x_t as they are, at t = 0."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.core.errors import ConfigError
from pellucid.core.shapes import expand

UNKNOWN = -1


class KnownTokens(Conditioner):
    """Tokens (B, C, *space), int64, -1 where they are not known.

    Arguments:
        shape: (C, *space) of what is diffused.
        categories: K; tokens are 0 .. K - 1.
    """

    fixed: ClassVar[bool] = True

    def __init__(self, *, shape: Sequence[int], categories: int) -> None:
        super().__init__()
        self.shape, self.categories = tuple(shape), categories

    def forward(self, value: Tensor) -> Embedded:  # noqa: ARG002
        """Nothing: what is known shows in x_t and t."""
        return Embedded()

    def force(self, value: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t and t with the known tokens of `value`."""
        value = value.to(x_t.device)
        known = value != UNKNOWN
        return torch.where(known, value, x_t), torch.where(known.to(t.device), 0.0, expand(t, x_t))

    def null(self, count: int) -> Tensor:
        return torch.full((count, *self.shape), UNKNOWN)

    def parse(self, value: Any, count: int) -> Tensor:
        """(C, *space) or a batch of such, repeated to `count`."""
        known = torch.as_tensor(value).long()
        known = known[None] if known.ndim == len(self.shape) else known
        if tuple(known.shape[1:]) != self.shape or not len(known):
            expected = ", ".join(map(str, self.shape))
            raise ConfigError(f"What is given has the shape {tuple(known.shape)}, expected (n, {expected})")
        if int(known.min()) < UNKNOWN or int(known.max()) >= self.categories:
            raise ConfigError(f"What is given has the token {int(known.max())}: expected 0 to {self.categories - 1}, or -1 "
                              "where it is not known")  # fmt: skip
        return known[torch.arange(count) % len(known)]
