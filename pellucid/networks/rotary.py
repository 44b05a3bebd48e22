"""Positions as rotations: attention sees where two positions are relative to one another, never where they are."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Rotary(nn.Module):
    """Rotary position embedding over one to three axes. Su et al. 2021 (RoFormer), section 3.2; axial as in vision.

    Features (j, j + d/2) of a head are a plane, turned by the angle ω_j · position. The planes are dealt out to the axes
    in equal parts (a remainder is not turned), and on each axis ω falls geometrically from 1 to 1/256 radian per
    position. As R(a)^T R(b) = R(b - a), the logit of a query and a key depends on their offset alone.
    """

    frequencies: Tensor

    def __init__(self, rank: int, head_width: int) -> None:
        super().__init__()
        planes = head_width // 2
        each = planes // rank
        frequencies = torch.zeros(rank, planes)
        for axis in range(rank):
            frequencies[axis, axis * each : (axis + 1) * each] = 2 ** torch.linspace(0, -8, each)
        self.register_buffer("frequencies", frequencies, persistent=False)

    def angles(self, grid: Sequence[int]) -> Tensor:
        """The angle of every plane at every position of a grid, (positions, planes)."""
        axes = [torch.arange(n, dtype=self.frequencies.dtype, device=self.frequencies.device) for n in grid]
        positions = torch.cartesian_prod(*axes).reshape(-1, len(grid), 1)
        return (positions * self.frequencies).sum(1)  # no matrix product: autocast would round it

    def forward(self, x: Tensor, grid: Sequence[int]) -> Tensor:
        """Turn x (..., positions, head_width) by the angles of its positions in `grid`."""
        angles = self.angles(grid)
        cos, sin = angles.cos(), angles.sin()
        swapped = x.roll(x.shape[-1] // 2, dims=-1)  # (a, b) -> (b, a), so that no halves need joining, here or backward
        return torch.addcmul(x * torch.cat([cos, cos], dim=-1), swapped, torch.cat([-sin, sin], dim=-1))
