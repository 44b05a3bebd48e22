"""Grids of positions: samples with their features last, (B, *grid, C), of any rank.

Features last is torch's channels_last memory order, in which the CPU's convolutions are fastest, and in which a linear
layer, a norm and attention need no copy.
"""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor

Factors = tuple[int, ...]
"""By how much each axis of a grid shrinks or grows."""


def space_to_depth(x: Tensor, factors: Factors) -> Tensor:
    """Fold each cell of prod(factors) positions into one: (B, *grid, C) -> (B, *grid / factors, C prod(factors))."""
    rank = len(factors)
    cells = [part for n, f in zip(x.shape[1:-1], factors, strict=True) for part in (n // f, f)]
    outer, inner = range(1, 2 * rank, 2), range(2, 2 * rank + 1, 2)
    return x.reshape(x.shape[0], *cells, x.shape[-1]).permute(0, *outer, *inner, 2 * rank + 1).flatten(rank + 1)


def depth_to_space(x: Tensor, factors: Factors) -> Tensor:
    """The inverse of `space_to_depth`: (B, *grid, C prod(factors)) -> (B, *grid * factors, C)."""
    rank = len(factors)
    grid = x.shape[1:-1]
    order = [axis for i in range(1, rank + 1) for axis in (i, rank + i)]
    cells = x.reshape(x.shape[0], *grid, *factors, -1).permute(0, *order, 2 * rank + 1)
    return cells.reshape(x.shape[0], *(n * f for n, f in zip(grid, factors, strict=True)), -1)


def pad(x: Tensor, multiples: Factors) -> Tensor:
    """Repeat the last value along each axis of a grid (B, *grid, ...) until its length is a multiple of the given."""
    for axis, (n, multiple) in enumerate(zip(x.shape[1:], multiples, strict=False), start=1):
        if n % multiple:
            x = x.index_select(axis, torch.arange(n + -n % multiple, device=x.device).clamp(max=n - 1))
    return x


def crop(x: Tensor, space: Sequence[int]) -> Tensor:
    """The first `space` positions of a padded grid, (B, *space, C)."""
    for axis, n in enumerate(space, start=1):
        x = x.narrow(axis, 0, n)
    return x


def cell_means(x: Tensor, factors: Factors) -> Tensor:
    """Mean over each cell of a grid (B, *grid, ...); an axis of length one, which stands for any, stays."""
    for axis, factor in enumerate(factors, start=1):
        if x.shape[axis] > 1 and factor > 1:
            x = x.reshape(*x.shape[:axis], -1, factor, *x.shape[axis + 1 :]).mean(axis + 1)
    return x


def halving(grid: Sequence[int]) -> Factors:
    """Two for the axes longer than half the longest, one for the others, so that a grid becomes a cube as it shrinks.

    >>> halving((16, 64, 64)), halving((28, 28)), halving((1,))
    ((1, 2, 2), (2, 2), (1,))
    """
    return tuple(2 if n > 1 and 2 * n > max(grid) else 1 for n in grid)


def divide(grid: Sequence[int], factors: Factors) -> tuple[int, ...]:
    """The grid after shrinking by `factors`, lengths rounded up."""
    return tuple(-(-n // f) for n, f in zip(grid, factors, strict=True))


def multiply(*factors: Factors) -> Factors:
    """The product, axis by axis."""
    return tuple(prod(axis) for axis in zip(*factors, strict=True))


def patch_for(space: Sequence[int], positions: int, volume: int) -> Factors:
    """Halvings of `space` until at most `positions` are left, or a patch holds `volume` values per channel or more.

    >>> patch_for((28, 28), 256, 16), patch_for((256, 256), 256, 16), patch_for((24,), 256, 16)
    ((2, 2), (4, 4), (1,))
    """
    patch: Factors = (1,) * len(space)
    while prod(grid := divide(space, patch)) > positions and prod(patch) < volume:
        patch = multiply(patch, halving(grid))
    return patch
