"""The way of a sample into a network's grid of patches and out again, whatever its size."""

from dataclasses import dataclass

from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.networks.grid import Factors, cell_means, crop, depth_to_space, pad, space_to_depth


def levels_like(c_noise: Tensor, x: Tensor) -> Tensor:
    """Noise levels with as many axes as x and a channel axis of length one.

    Raises:
        ValueError: neither (B,) nor such a shape.
    """
    levels = expand(c_noise, x)
    if levels.ndim != x.ndim or levels.shape[1] != 1:
        raise ValueError(f"c_noise of shape {tuple(c_noise.shape)} does not fit x of shape {tuple(x.shape)}: expected "
                         "(B,), or as many axes as x with a channel axis of length one")
    return levels


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Samples (B, C, *space) as grids of patches (B, *grid, C prod(patch)), features last.

    Arguments:
        patch: lengths of a patch.
        stride: what the lengths of a sample must be multiples of; shorter ones are filled up by repeating the edge.
    """

    patch: Factors
    stride: Factors

    def cut(self, x: Tensor) -> Tensor:
        """(B, C, *space) -> (B, *grid, C prod(patch))."""
        return space_to_depth(pad(x.movedim(1, -1), self.stride), self.patch)

    def join(self, y: Tensor, like: Tensor) -> Tensor:
        """(B, *grid, C prod(patch)) -> (B, C, *space), the space of `like`."""
        return crop(depth_to_space(y, self.patch), like.shape[2:]).movedim(-1, 1)

    def levels(self, c_noise: Tensor, x: Tensor) -> Tensor:
        """The mean noise level of each patch, (B, *grid), axes of length one, which stand for any, kept so."""
        levels = levels_like(c_noise, x).squeeze(1)
        stride = tuple(n if length > 1 else 1 for length, n in zip(levels.shape[1:], self.stride, strict=True))
        return cell_means(pad(levels, stride), self.patch)
