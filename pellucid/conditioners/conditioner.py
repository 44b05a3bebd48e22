"""The contract of a conditioner: it embeds one entry of `cond` and knows the entry that asks for nothing."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

TOKEN_WIDTH = 256
"""Of all tokens, so that those of several conditioners can stand side by side and networks need not know whose they are."""


class Embedded(NamedTuple):
    """What a network is told: `vector` (B, width) is added to its embedding of the noise level, `tokens` (B, L, TOKEN_WIDTH)
    are what it may attend to, `planes` (B, C, *space) what it sees beside x_t; None for what there is not.
    """

    vector: Tensor | None = None
    tokens: Tensor | None = None
    planes: Tensor | None = None


class Conditioner(nn.Module, ABC):
    """One entry of `cond`, embedded for a network.

    Attributes:
        fixed: whether the entry is what is known of a sample, which guidance does not lead away from.
    """

    fixed: ClassVar[bool] = False

    @abstractmethod
    def forward(self, value: Tensor) -> Embedded:
        """(B, ...) as it stands in `cond`, embedded."""

    @abstractmethod
    def null(self, count: int) -> Tensor:
        """`count` entries that ask for nothing, in the form that `forward` takes."""

    @abstractmethod
    def parse(self, value: Any, count: int) -> Tensor:
        """What a user asked for, `count` times over, in the form that `forward` takes.

        Raises:
            ConfigError: the conditioner does not know it; the message names the nearest it knows.
        """
