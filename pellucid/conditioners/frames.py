"""Frames that are known, from which the others are made: by their times, not by anything beside them."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.conditioners.given import Given
from pellucid.core.errors import ConfigError
from pellucid.core.shapes import expand


class Frames(Conditioner):
    """Frames along the first axis of space, NaN where they are not known: the network sees them as they are, at t = 0, among
    others at the time that is asked for. Chen et al. 2024 (Diffusion Forcing), section 3.2.

    Arguments:
        shape: (C, T, *space) of what is diffused.
    """

    fixed: ClassVar[bool] = True

    def __init__(self, *, shape: Sequence[int]) -> None:
        super().__init__()
        self.whole = Given(shape=shape)

    def forward(self, value: Tensor) -> Embedded:  # noqa: ARG002
        """Nothing: what is known shows in x_t and t."""
        return Embedded()

    def force(self, value: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_t and t with the known frames of `value` (B, C, T, *space), and which those are, (B, 1, T, 1, ...)."""
        there = value.isfinite().transpose(1, 2).flatten(2).all(2)
        known = there.reshape(value.shape[0], 1, -1, *[1] * (value.ndim - 3))
        times = torch.where(known.to(t.device), 0.0, expand(t, x_t))
        return torch.where(known, value.to(x_t), x_t), times, known

    def null(self, count: int) -> Tensor:
        return self.whole.null(count)

    def parse(self, value: Any, count: int) -> Tensor:
        """(C, T, *space) or a batch of such, repeated to `count`; a frame is known as a whole or not at all."""
        known = self.whole.parse(value, count)
        there = known.isfinite().transpose(1, 2).flatten(2)
        if bool((there.any(2) & ~there.all(2)).any()):
            raise ConfigError("Parts of a frame are given: expected whole frames, all others NaN")
        return known
