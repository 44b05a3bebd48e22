"""Space and time apart: what a network of films does to each frame by itself, and what over time at each position."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.networks.attention import SelfAttention, heads_for
from pellucid.networks.convolution import Convolution, ConvolutionBranch
from pellucid.networks.grid import Factors
from pellucid.networks.settings import patch_of


class PerFrame(nn.Module):
    """A module of pictures, of each frame by itself: (B, T, H, W, width) as B T samples."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        y: Tensor = self.inner(x.flatten(0, 1))
        return y.reshape(*x.shape[:-1], -1)


class OverTime(nn.Module):
    """Attention of each position to itself in all frames: (B, T, H, W, width) as B H W series of length T."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.inner = SelfAttention(1, width, heads)

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        series = x.movedim(1, 3)
        y: Tensor = self.inner(series.flatten(0, 2))
        return y.reshape(series.shape).movedim(3, 1)


@dataclass(frozen=True, kw_only=True)
class Axes:
    """The axes of a grid, and whether the first of them is time, which is then treated apart from the others.

    Factorised space-time attention: Ho et al. 2022 (Video Diffusion Models), section 3; Arnab et al. 2021 (ViViT), model 3.
    Attention costs T (H W)^2 + H W T^2 instead of (T H W)^2, convolutions of 3 x 3 a third of 3 x 3 x 3.

    Arguments:
        rank: their number.
        factorised: whether the first is time.

    Raises:
        ConfigError: fewer than three axes and time among them.
    """

    rank: int
    factorised: bool

    def __post_init__(self) -> None:
        if self.factorised and self.rank != 3:
            raise ConfigError(f"network.factorised: samples have {self.rank} axes of space, expected three: time, height "
                              "and width")  # fmt: skip

    def spatial(self, grid: tuple[int, ...]) -> tuple[int, ...]:
        """Of lengths or factors those of the axes that shrink, level by level: all but time."""
        return grid[1:] if self.factorised else grid

    def patch(self, given: int | tuple[int, ...]) -> tuple[int, ...]:
        """A patch as the user gave it, in the axes that shrink."""
        whole = patch_of(given, self.rank)
        if self.factorised and not isinstance(given, int) and whole[0] != 1:
            raise ConfigError(f"patch = {given} joins frames, which network.factorised keeps apart: expected 1 of the first")
        return self.spatial(whole)

    def whole(self, factors: Factors) -> Factors:
        """The factors of all axes, from those that shrink."""
        return (1, *factors) if self.factorised else factors

    def convolution(self, in_width: int, out_width: int, *, bias: bool = False) -> nn.Module:
        """Over what lies in space."""
        if self.factorised:
            return PerFrame(Convolution(2, in_width, out_width, bias=bias))
        return Convolution(self.rank, in_width, out_width, bias=bias)

    def convolutions(self, width: int) -> Iterator[nn.Module]:
        """The branch of two convolutions, and attention over time after it, where there is any."""
        if self.factorised:
            yield PerFrame(ConvolutionBranch(2, width))
            yield OverTime(width, heads_for(width))
        else:
            yield ConvolutionBranch(self.rank, width)

    def attention(self, width: int, heads: int) -> Iterator[nn.Module]:
        """Over all positions, or over those of each frame and then over time."""
        if self.factorised:
            yield PerFrame(SelfAttention(2, width, heads))
            yield OverTime(width, heads)
        else:
            yield SelfAttention(self.rank, width, heads)
