"""A U-Net over patches: convolutions where the grid is fine, attention where it is coarse."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Self

from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.networks.attention import CrossAttention, heads_for
from pellucid.networks.embedding import NoiseEmbedding
from pellucid.networks.factorised import Axes
from pellucid.networks.grid import (
    Factors,
    cell_means,
    depth_to_space,
    divide,
    halving,
    multiply,
    patch_for,
    space_to_depth,
)
from pellucid.networks.initialise import zeroed
from pellucid.networks.linear import Linear
from pellucid.networks.modulated import Blocks, Modulation
from pellucid.networks.network import Network, Size
from pellucid.networks.patches import Patches
from pellucid.networks.settings import setting

COARSEST = 64
"""Levels are added until a grid has at most this many positions."""


@dataclass(frozen=True, kw_only=True)
class _Dial:
    """What a size stands for: the coarsest width, blocks per level, attention or not, most positions of the finest grid."""

    width: int
    blocks: int
    attention: bool
    positions: int


_DIAL: dict[Size, _Dial] = {
    "tiny": _Dial(width=96, blocks=1, attention=False, positions=256),
    "small": _Dial(width=192, blocks=2, attention=True, positions=256),
    "base": _Dial(width=384, blocks=3, attention=True, positions=1024),
    "large": _Dial(width=640, blocks=4, attention=True, positions=1024),
}


class UNet(Network):
    """U-Net (Ronneberger et al. 2015) with a patch stem, adaptive norms and attention at the coarsest level.

        stem      patches -> convolution -> finest level
        down      per level: blocks, keep, fold 2 x 2 positions into one
        coarsest  twice the blocks, attention in the middle of each pair except in tiny networks, there to tokens too
        up        per level: unfold, add what was kept, blocks
        head      adaptive norm -> convolution, zero at the start -> patches

    Axes halve only while they are longer than half the longest, so a video of 16 frames keeps them all until its
    pictures are as small. Edges are repeated up to a multiple of the total stride and cropped again, so any size
    works, and sizes other than `space` may come to `forward`.

    Arguments:
        in_channels, out_channels, space: (B, in_channels, *space) -> (B, out_channels, *space), rank one to three.
        token_width: of the tokens that it attends to; 0: none.
        size: the dial; tiny, small, base, large have about 0.7, 5, 30 and 120 million parameters.
        patch: edge of the patches, one number or one per axis.
        channels: width of each level, finest first; sets the number of levels.
        blocks: blocks of two convolutions per level and direction.
        attention: whether attention stands in the middle of each pair of blocks at the coarsest level.
        heads: attention heads at the coarsest level, by default of 32 features or more.
        embedding_width: width of the noise embedding and of the condition vector.
        factorised: whether the first axis is time: then convolutions keep within a frame, attention too, and after each of
            them every position attends to itself in all frames.

    Raises:
        ConfigError: a setting out of range, or heads that do not divide the coarsest width.
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
        channels: tuple[int, ...] | None = None,
        blocks: int | None = None,
        attention: bool | None = None,
        heads: int | None = None,
        embedding_width: int | None = None,
        factorised: bool = False,
    ) -> None:
        super().__init__()
        self.token_width = token_width
        dial, axes = _DIAL[size], Axes(rank=self.rank(space), factorised=factorised)
        flat = axes.spatial(space)
        own = patch_for(flat, dial.positions, 16) if patch is None else axes.patch(patch)
        self.patch = axes.whole(own)
        strides = [axes.whole(one) for one in _strides(divide(flat, own), None if channels is None else len(channels))]
        widths = _widths(dial.width, len(strides) + 1, in_channels * prod(self.patch)) if channels is None else channels
        if min(widths, default=0) < 1:
            raise ConfigError(f"channels = {channels} does not fit: expected one or more widths of at least 1, finest first")
        blocks = setting("blocks", blocks, dial.blocks)
        attention = dial.attention if attention is None else attention
        heads = setting("heads", heads, heads_for(widths[-1]))
        width = self.embedding_width = setting("embedding_width", embedding_width, widths[-1])
        self.patches = Patches(patch=self.patch, stride=multiply(self.patch, *strides))

        self.embedding = NoiseEmbedding(width)
        self.stem = axes.convolution(in_channels * prod(self.patch), widths[0])
        coarsest = _coarsest(axes, widths[-1], blocks, attention, heads, token_width)
        self.levels: nn.Module = Blocks(coarsest, widths[-1], width)
        for fine, coarse, stride in zip(widths[-2::-1], widths[:0:-1], strides[::-1], strict=True):
            self.levels = _Level(axes, self.levels, fine, coarse, stride, blocks, width)
        self.norm = Modulation(widths[0], width)
        self.head = zeroed(axes.convolution(widths[0], out_channels * prod(self.patch), bias=True))

    def forward(
        self, x: Tensor, c_noise: Tensor, vector: Tensor | None = None, tokens: Tensor | None = None
    ) -> Tensor:
        embedding = self.embedding(self.patches.levels(c_noise, x), vector)
        h, = self.norm(self.levels(self.stem(self.patches.cut(x)), embedding, tokens), embedding)
        return self.patches.join(self.head(h), x)

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        settings: Any = {"channels": (8, 16), "attention": True, "heads": 2}
        return cls(in_channels=2, out_channels=2, space=(6, 5), token_width=3, **settings), (2, 2, 6, 5)


class _Level(nn.Module):
    """Blocks at one grid, around the coarser levels `inner`: (B, *grid, fine) to the same shape."""

    def __init__(
        self, axes: Axes, inner: nn.Module, fine: int, coarse: int, stride: Factors, blocks: int, embedding: int
    ) -> None:
        super().__init__()
        self.stride = stride
        branches = [[branch for _ in range(blocks) for branch in axes.convolutions(fine)] for _ in range(2)]
        self.down = Blocks(branches[0], fine, embedding)
        self.fold = Linear(fine * prod(stride), coarse, bias=False)
        self.inner = inner
        self.unfold = Linear(coarse, fine * prod(stride), bias=False)
        self.up = Blocks(branches[1], fine, embedding)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor | None = None) -> Tensor:
        kept = self.down(x, embedding)
        h = self.inner(self.fold(space_to_depth(kept, self.stride)), cell_means(embedding, self.stride), tokens)
        y: Tensor = self.up(kept + depth_to_space(self.unfold(h), self.stride), embedding)
        return y


def _coarsest(
    axes: Axes, width: int, blocks: int, attention: bool, heads: int, token_width: int
) -> Iterator[nn.Module]:
    for _ in range(blocks):
        yield from axes.convolutions(width)
        if attention:
            yield from axes.attention(width, heads)
        if token_width:
            yield CrossAttention(width, heads, token_width)
        yield from axes.convolutions(width)


def _strides(grid: Sequence[int], levels: int | None) -> list[Factors]:
    """One halving per step down: to `levels` levels, or at least once and until the grid is small enough."""
    strides: list[Factors] = []
    while len(strides) + 1 < levels if levels is not None else prod(grid) > (COARSEST if strides else 1):
        strides.append(halving(grid))
        grid = divide(grid, strides[-1])
    return strides


def _widths(coarsest: int, levels: int, values: int) -> tuple[int, ...]:
    """Half the width on each finer level, but not under a quarter of the coarsest, nor under twice the values of a patch.

    The noise in a patch has to pass through the finest level whole: as wide as the patch, pictures came out with a mesh
    over them (LOG.md, 2026-11-25). Never is a level wider than the coarsest.
    """
    floor = min(coarsest, 2 * values)
    return tuple(max(floor, coarsest // min(4, 2 ** (levels - 1 - level))) for level in range(levels))
