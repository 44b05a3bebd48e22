"""A residual multilayer perceptron over the flattened sample, for points and other small data."""

from dataclasses import dataclass
from math import prod
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from pellucid.networks.attention import FeedForward
from pellucid.networks.embedding import NoiseEmbedding
from pellucid.networks.initialise import zeroed
from pellucid.networks.modulated import Blocks, Modulation
from pellucid.networks.network import Network, Size
from pellucid.networks.patches import levels_like
from pellucid.networks.settings import setting


@dataclass(frozen=True, kw_only=True)
class _Dial:
    """What a size stands for: width and blocks."""

    width: int
    depth: int


_DIAL: dict[Size, _Dial] = {
    "tiny": _Dial(width=128, depth=4),
    "small": _Dial(width=256, depth=8),
    "base": _Dial(width=512, depth=12),
    "large": _Dial(width=1024, depth=12),
}


class MLP(Network):
    """Feed-forward blocks over all values of a sample at once; points, (B, C) without spatial axes, included.

    The noise level of each position is an input beside its values; the mean of the levels' embeddings modulates the
    blocks. It takes no notice of tokens: what they say is summed up in the condition vector.

    Arguments:
        in_channels, out_channels, space: (B, in_channels, *space) -> (B, out_channels, *space), rank zero to three.
        token_width: of the tokens that may be given.
        size: the dial; tiny, small, base, large have about 0.7, 5, 30 and 120 million parameters where samples are small.
        width: features of the residual stream.
        depth: blocks.
        embedding_width: width of the noise embedding and of the condition vector.

    Raises:
        ConfigError: a setting out of range.
    """

    ranks: ClassVar[tuple[int, ...]] = (0, 1, 2, 3)
    promised_at: ClassVar[tuple[tuple[int, tuple[int, ...]], ...]] = ((2, ()), (6, (24,)), (1, (8, 8)))

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        space: tuple[int, ...],
        token_width: int = 0,
        size: Size = "tiny",
        width: int | None = None,
        depth: int | None = None,
        embedding_width: int | None = None,
    ) -> None:
        super().__init__()
        self.rank(space)
        self.token_width = token_width
        dial, positions = _DIAL[size], prod(space)
        width = setting("width", width, dial.width)
        depth = setting("depth", depth, dial.depth)
        self.embedding_width = setting("embedding_width", embedding_width, max(1, width // 2))

        self.embedding = NoiseEmbedding(self.embedding_width)
        self.stem = nn.Linear((in_channels + 1) * positions, width, bias=False)
        self.blocks = Blocks((FeedForward(width) for _ in range(depth)), width, self.embedding_width)
        self.norm = Modulation(width, self.embedding_width)
        self.head = zeroed(nn.Linear(width, out_channels * positions))

    def forward(
        self, x: Tensor, c_noise: Tensor, vector: Tensor | None = None, tokens: Tensor | None = None  # noqa: ARG002
    ) -> Tensor:
        levels = levels_like(c_noise, x).to(x.dtype)
        everywhere = levels.expand(x.shape[0], 1, *x.shape[2:])
        embedding = self.embedding(levels.flatten(1), vector).mean(1)
        h = self.blocks(self.stem(torch.cat([x, everywhere], dim=1).flatten(1)), embedding)
        h, = self.norm(h, embedding)
        y: Tensor = self.head(h)
        return y.reshape(x.shape[0], -1, *x.shape[2:])

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        return cls(in_channels=2, out_channels=2, space=(), width=16, depth=2), (2, 2)
