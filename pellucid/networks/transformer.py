"""A transformer over patches of any rank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Self

from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.networks.attention import CrossAttention, FeedForward, heads_for
from pellucid.networks.embedding import NoiseEmbedding
from pellucid.networks.factorised import Axes
from pellucid.networks.grid import patch_for
from pellucid.networks.initialise import zeroed
from pellucid.networks.linear import Linear
from pellucid.networks.modulated import Blocks, Modulation
from pellucid.networks.network import Network, Size
from pellucid.networks.patches import Patches
from pellucid.networks.segments import Segments
from pellucid.networks.settings import setting


@dataclass(frozen=True, kw_only=True)
class _Dial:
    """What a size stands for: width, blocks, and the most patches that a sample is cut into."""

    width: int
    depth: int
    positions: int


_DIAL: dict[Size, _Dial] = {
    "tiny": _Dial(width=96, depth=5, positions=64),
    "small": _Dial(width=256, depth=5, positions=64),
    "base": _Dial(width=512, depth=8, positions=256),
    "large": _Dial(width=768, depth=14, positions=256),
}


class Transformer(Network):
    """Diffusion transformer (Peebles and Xie 2023, DiT): patches as tokens, attention and feed-forward in turn.

    Unlike the paper's: rotary positions over the axes instead of a table, so sizes other than `space` may come to
    `forward`; normalised queries and keys; SwiGLU. A noise level per frame or per token modulates just these tokens.

    Arguments:
        in_channels, out_channels, space: (B, in_channels, *space) -> (B, out_channels, *space), rank one to three.
        token_width: of the tokens that it attends to; 0: none.
        size: the dial; tiny, small, base, large have about 0.7, 5, 30 and 120 million parameters.
        patch: edge of the patches, one number or one per axis; it need not divide the size.
        width: features per token.
        depth: blocks, each of attention and of feed-forward.
        heads: attention heads, by default of 32 features or more.
        embedding_width: width of the noise embedding and of the condition vector.
        places: whether each patch has a learned vector of its own besides, where patches differ in kind; `space` is then
            the only size.
        factorised: whether the first axis is time: then each frame attends to itself, and after that each position to
            itself in all frames.
        segments: (values, tokens) of each kind of tokens, where they differ; ours are then patches of 1.

    Raises:
        ConfigError: a setting out of range, or heads that do not divide the width.
    """

    def __init__(
        self,
        *,
        in_channels: int,
        out_channels: int,
        space: tuple[int, ...],
        token_width: int = 0,
        size: Size = "tiny",
        patch: int | tuple[int, ...] | None = None,
        width: int | None = None,
        depth: int | None = None,
        heads: int | None = None,
        embedding_width: int | None = None,
        places: bool = False,
        factorised: bool = False,
        segments: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        self.token_width = token_width
        dial, axes = _DIAL[size], Axes(rank=self.rank(space), factorised=factorised)
        flat = axes.spatial(space)
        own = patch_for(flat, dial.positions, prod(flat)) if patch is None else axes.patch(patch)
        self.patch = axes.whole(own)
        self.patches = Patches(patch=self.patch, stride=self.patch)
        width = setting("width", width, dial.width)
        depth = setting("depth", depth, dial.depth)
        heads = setting("heads", heads, heads_for(width))
        self.embedding_width = setting("embedding_width", embedding_width, max(1, width // 2))

        self.embedding = NoiseEmbedding(self.embedding_width)
        self.segments = Segments(segments, in_channels, width) if segments else None
        if segments and (self.patch != (1,) or in_channels != out_channels):
            raise ConfigError(f"network.patch = {patch}: parts of several kinds are patches of 1")
        self.stem = nn.Identity() if segments else Linear(in_channels * prod(self.patch), width, bias=False)
        grid = tuple(ceil(n / edge) for n, edge in zip(space, self.patch, strict=True))
        self.places = nn.Embedding(prod(grid), width) if places else None
        branches = (branch for _ in range(depth) for branch in _branches(axes, width, heads, token_width))
        self.blocks = Blocks(branches, width, self.embedding_width)
        self.norm = Modulation(width, self.embedding_width)
        self.head = nn.Identity() if segments else zeroed(Linear(width, out_channels * prod(self.patch)))

    def forward(
        self, x: Tensor, c_noise: Tensor, vector: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        embedding = self.embedding(self.patches.levels(c_noise, x), vector)
        cut = self.patches.cut(x)
        h = self.stem(cut) if self.segments is None else self.segments.into(cut)
        if self.places is not None:
            h = h + self.places.weight.reshape(*h.shape[1:])
        h = self.blocks(h, embedding, tokens)
        h, = self.norm(h, embedding)
        return self.patches.join(self.head(h) if self.segments is None else self.segments.out(h), x)

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        network = cls(in_channels=2, out_channels=2, space=(6, 5), token_width=3, patch=2, width=16, depth=2, heads=2)
        return network, (2, 2, 6, 5)


def _branches(axes: Axes, width: int, heads: int, token_width: int) -> Iterator[nn.Module]:
    yield from axes.attention(width, heads)
    if token_width:
        yield CrossAttention(width, heads, token_width)
    yield FeedForward(width)
