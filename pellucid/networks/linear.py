"""A linear layer over the last axis, fast on every CPU."""

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d


class Linear(nn.Linear):
    """y = W x + b over the last axis: (..., in_features) -> (..., out_features).

    On CPUs in float32 it is computed as a convolution over grids of one position. That is the same product, done by
    oneDNN instead of the BLAS that torch was built with: forward and backward together took 0.74 to 0.95 of the time on an
    AMD CPU, for which MKL has no kernels of its own (LOG.md, 2026-11-25).
    """

    def forward(self, x: Tensor) -> Tensor:
        if torch.compiler.is_exporting() or x.device.type != "cpu" or x.dtype != torch.float32:
            return super().forward(x)
        if x.ndim == 1 or not len(x):  # no batch to make a convolution's batch of
            return super().forward(x)
        pixels = x.reshape(len(x), -1, 1, self.in_features).movedim(-1, 1)  # no copy: this is torch's channels_last
        y = conv2d(pixels, self.weight[:, :, None, None], self.bias)
        return y.movedim(1, -1).reshape(*x.shape[:-1], self.out_features)
