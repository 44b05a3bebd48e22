"""Self-attention and the feed-forward layer, as branches of `Modulated` blocks."""

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from pellucid.core.errors import ConfigError
from pellucid.networks.rotary import Rotary


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v over all positions of a grid, (B, *grid, width) to the same shape.

    Queries and keys are normalised to unit mean square (Dehghani et al. 2023, ViT-22B, section 2), which bounds the
    logits by a learned gain, then rotated by their positions (`Rotary`).

    Raises:
        ConfigError: the width does not divide into heads of an even width.
    """

    def __init__(self, rank: int, width: int, heads: int) -> None:
        super().__init__()
        if width % (2 * heads):
            raise ConfigError(f"heads = {heads} does not fit a width of {width}: expected a width that is a multiple of "
                              f"2 x heads; try {heads_for(width)}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.gain = nn.Parameter(torch.ones(width // heads))
        self.rotary = Rotary(rank, width // heads)
        self.output = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).reshape(x.shape[0], -1, 3, self.heads, x.shape[-1] // self.heads).permute(2, 0, 3, 1, 4)
        angles = self.rotary.angles(x.shape[1:-1])
        q, k = rms_norm(q, q.shape[-1:], eps=1e-6) * self.gain, rms_norm(k, k.shape[-1:], eps=1e-6)
        q, k = self.rotary(q, angles), self.rotary(k, angles)
        y = scaled_dot_product_attention(q, k, v)  # (B, heads, positions, width / heads)
        output: Tensor = self.output(y.transpose(1, 2).reshape(x.shape))
        return output


def heads_for(width: int) -> int:
    """The most heads of 32 features or more, of an even width, that divide `width`.

    >>> heads_for(96), heads_for(112), heads_for(16)
    (3, 2, 1)
    """
    return max((heads for heads in range(1, width // 32 + 1) if width % (2 * heads) == 0), default=1)


class FeedForward(nn.Module):
    """W3 (silu(W1 x) · W2 x), SwiGLU. Shazeer 2020 (GLU variants), eq. 6, the hidden width about 8/3 of the outer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 32 * max(1, round(width / 12))
        self.inner = nn.Linear(width, 2 * hidden, bias=False)
        self.outer = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, value = self.inner(x).chunk(2, dim=-1)
        y: Tensor = self.outer(silu(gate) * value)
        return y
