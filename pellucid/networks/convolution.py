"""Convolution over grids of rank one to three with features last, and the branch made of two of them."""

from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

_CONVOLUTIONS: tuple[type[nn.Conv1d] | type[nn.Conv2d] | type[nn.Conv3d], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Convolution(nn.Module):
    """A convolution of 3 positions per axis, zero-padded: (B, *grid, C_in) -> (B, *grid, C_out).

    The two moves of axes are free: they turn features last into torch's channels_last, and back. Volumes of a depth of 2 are
    never convolved in bfloat16 on a CPU: there the weights' gradients of torch 2.13 hold numbers from elsewhere in memory.
    """

    def __init__(self, rank: int, in_width: int, out_width: int, *, bias: bool = False) -> None:
        super().__init__()
        self.kernel = _CONVOLUTIONS[rank - 1](in_width, out_width, kernel_size=3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        pixels = x.movedim(-1, 1)
        unsafe = x.ndim == 5 and x.shape[1] == 2 and x.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        with torch.autocast("cpu", enabled=False) if unsafe else nullcontext():
            y: Tensor = self.kernel(pixels.float() if unsafe else pixels)
        return y.movedim(1, -1)


class ConvolutionBranch(nn.Module):
    """convolution(silu(convolution(x))), for use in a `Modulated` block."""

    def __init__(self, rank: int, width: int) -> None:
        super().__init__()
        self.inner = Convolution(rank, width, width)
        self.outer = Convolution(rank, width, width)

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        y: Tensor = self.outer(silu(self.inner(x)))
        return y
