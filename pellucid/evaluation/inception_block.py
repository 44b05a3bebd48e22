"""The blocks of Inception-v3: branches of convolutions side by side, and one that pools."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d, relu

Size = int | tuple[int, int]
Step = tuple[str, int, Size]
"""Name, channels, kernel."""
Branches = tuple[tuple[Step, ...], ...]
"""Each a chain of steps."""


class Convolution(nn.Module):
    """Convolution, normalisation by running statistics, ReLU."""

    def __init__(self, width_in: int, width: int, kernel: Size, *, stride: int = 1, padding: Size = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width_in, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.bn(self.conv(x)))


class InceptionBlock(nn.Module):
    """(B, C, H, W) to the channels of all branches, one after the other, and those of the pooling one.

    Arguments:
        width: C.
        branches: what they are made of.
        pool: the last branch: mean or maximum over 3 x 3 and then a convolution; or "halve", the maximum at stride 2 alone,
            where the other branches end at stride 2 too. Elsewhere the size stays.
        pooled: channels of the pooling branch's convolution.
        fork: whether the last two steps of a chain see the same, and both their outputs are kept.
    """

    def __init__(
        self, width: int, branches: Branches, *, pool: Literal["mean", "max", "halve"] = "mean", pooled: int = 192,
        fork: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.pool = pool
        self.chains: list[list[tuple[str, ...]]] = []
        for branch in branches:
            before, names = width, [name for name, _, _ in branch]
            ends = 2 if fork and len(branch) > 1 else 1
            for place, (name, after, kernel) in enumerate(branch, 1):
                halve = pool == "halve" and place == len(branch)
                padding = 0 if halve else kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
                layer = Convolution(before, after, kernel, stride=2 if halve else 1, padding=padding)
                self.add_module(name, layer)
                before = after
            self.chains.append([*((name,) for name in names[:-ends]), tuple(names[-ends:])])
        if pool != "halve":
            self.branch_pool = Convolution(width, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for chain in self.chains:
            y = x
            for names in chain:
                y = torch.cat([self.get_submodule(name)(y) for name in names], 1)
            found.append(y)
        return torch.cat([*found, self._pooled(x)], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if self.pool == "halve":
            return max_pool2d(x, 3, 2)
        pooled = max_pool2d(x, 3, 1, 1) if self.pool == "max" else avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        projected: Tensor = self.branch_pool(pooled)
        return projected
