"""What every network is: a bare module (x, c_noise, vector, tokens) -> tensor of x's spatial shape.

A network knows nothing of schedules, losses or conditions. A denoiser wraps it: scales its input and output, tells it the
noise level as `c_noise`, and the embedded conditions as their sum, `vector`, and in detail as `tokens`.
"""

from abc import ABC, abstractmethod
from typing import ClassVar, Literal, Self

from torch import Tensor, nn

from pellucid.core.errors import ConfigError

Size = Literal["tiny", "small", "base", "large"]
"""The dial from which width, depth and patch are derived where they are not given."""


class Network(nn.Module, ABC):
    """Base of all networks. Each takes, keyword-only, `in_channels`, `out_channels`, `space`, `token_width` (0: it reads no
    tokens) and `size`, then overrides of single settings, of which None means "derived from size and space".

    A network starts at zero: its output layer, and the gate of every residual branch, are zero at construction. Samples
    in a batch never meet: no batch statistics, no dropout.

    Attributes:
        embedding_width: the width of the condition vector that `forward` accepts.
        token_width: the width of the tokens that it reads, 0 for none.
        ranks: the numbers of spatial axes that the class can work on.
        parameter_range: the number of parameters that each size promises, lowest and highest.
        promised_at: the (channels, space) for which it does.
    """

    embedding_width: int
    token_width: int
    ranks: ClassVar[tuple[int, ...]] = (1, 2, 3)
    parameter_range: ClassVar[dict[Size, tuple[float, float]]] = {
        "tiny": (0.5e6, 1e6), "small": (3e6, 7e6), "base": (20e6, 40e6), "large": (100e6, 150e6),
    }
    promised_at: ClassVar[tuple[tuple[int, tuple[int, ...]], ...]] = ((1, (28, 28)), (3, (64, 64)))

    @abstractmethod
    def forward(
        self, x: Tensor, c_noise: Tensor, vector: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        """The network's answer, (B, C_out, *space).

        Arguments:
            x: (B, C_in, *space), of about unit variance.
            c_noise: the noise level, of magnitude about one: (B,), or with as many axes as x and broadcastable to it,
                its channel axis of length one: (B, 1, F, 1, 1) gives each frame of a video its own.
            vector: (B, embedding_width), the sum of the embedded conditions.
            tokens: (B, L, token_width), what the conditions say in detail (the words of a caption), for cross-attention.
        """

    @classmethod
    @abstractmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        """A tiny instance and the shape (B, C_in, *space) of an input, for the contract tests."""

    @classmethod
    def rank(cls, space: tuple[int, ...]) -> int:
        """The number of spatial axes, refused if the class cannot work on as many."""
        if len(space) not in cls.ranks or min(space, default=1) < 1:
            ranks = ", ".join(str(rank) for rank in cls.ranks)
            raise ConfigError(f"{cls.__name__} got space = {space}: expected {ranks} axes, each of length 1 or more; "
                              "data without spatial axes needs the network 'mlp'")
        return len(space)
