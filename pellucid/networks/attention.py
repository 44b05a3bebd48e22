"""Attention, within a sample and to tokens, and the feed-forward layer, as branches of `Modulated` blocks."""

from itertools import product
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention, silu

from pellucid.core.errors import ConfigError
from pellucid.core.precision import has_bfloat16
from pellucid.networks.linear import Linear
from pellucid.networks.rotary import Rotary

MOST_WEIGHTS = 2**26
"""Of attention, that are kept for a gradient: 128 MB in bfloat16."""
PART = 2**20
"""Weights that are computed at once where none is wanted."""


class SelfAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v over all positions of a grid, (B, *grid, width) to the same shape.

    Queries and keys are normalised (Dehghani et al. 2023, ViT-22B, section 2), which bounds the logits by a learned gain,
    then rotated by their positions (`Rotary`). They go both ways as one tensor: half the operations for the same numbers.

    Raises:
        ConfigError: the width does not divide into heads of an even width.
    """

    def __init__(self, rank: int, width: int, heads: int) -> None:
        super().__init__()
        check_heads(heads, width)
        self.heads = heads
        self.query_key = Linear(width, 2 * width, bias=False)
        self.value = Linear(width, width, bias=False)
        self.gain = nn.Parameter(torch.ones(width // heads))
        self.rotary = Rotary(rank, width // heads)
        self.output = Linear(width, width, bias=False)

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        positions = x.flatten(1, -2)
        query_key = split_heads(self.query_key(positions), 2 * self.heads)
        query_key = layer_norm(query_key, query_key.shape[-1:], self.gain, eps=1e-6)
        q, k = self.rotary(query_key, x.shape[1:-1]).chunk(2, dim=1)
        y = attend(q, k, split_heads(self.value(positions), self.heads))
        output: Tensor = self.output(y.transpose(1, 2).reshape(x.shape))
        return output


class CrossAttention(nn.Module):
    """softmax(q k^T / sqrt(d)) v, queries from (B, *grid, width), keys and values from tokens (B, L, token_width).

    Rombach et al. 2022, section 3.3, with normalised queries and keys as in `SelfAttention`. Keys are not rotated: words
    have no place in a picture. Without tokens it adds nothing.

    Raises:
        ConfigError: the width does not divide into heads.
    """

    def __init__(self, width: int, heads: int, token_width: int) -> None:
        super().__init__()
        check_heads(heads, width)
        self.heads = heads
        self.query = Linear(width, width, bias=False)
        self.key = Linear(token_width, width, bias=False)
        self.value = Linear(token_width, width, bias=False)
        self.gain = nn.Parameter(torch.ones(width // heads))
        self.output = Linear(width, width, bias=False)

    def forward(self, x: Tensor, tokens: Tensor | None = None) -> Tensor:
        if tokens is None:
            return torch.zeros_like(x)
        q = split_heads(self.query(x.flatten(1, -2)), self.heads)
        k, v = (split_heads(layer(tokens), self.heads) for layer in (self.key, self.value))
        q = layer_norm(q, q.shape[-1:], self.gain, eps=1e-6)
        y = attend(q, layer_norm(k, k.shape[-1:], eps=1e-6), v)
        output: Tensor = self.output(y.transpose(1, 2).reshape(x.shape))
        return output


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, positions, heads * d) -> (B, heads, positions, d)."""
    return x.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def check_heads(heads: int, width: int) -> None:
    """Refuse heads that do not divide `width` into even parts."""
    if width % (2 * heads):
        raise ConfigError(f"heads = {heads} does not fit a width of {width}: expected a width that is a multiple of "
                          f"2 x heads; try {heads_for(width)}")


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for q (B, heads, T, d), k and v (B, heads, S, d).

    On CPUs in bfloat16, under autocast too, by plain products: torch's own attention takes two to three times as long there,
    forward and backward (LOG.md, 2026-11-27). Where a gradient is wanted they keep all T x S weights, so longer ones are
    left to torch in float32.
    """
    autocast = q.device.type == "cpu" and torch.is_autocast_enabled("cpu")
    if not autocast and not (q.device.type == "cpu" and q.dtype == torch.bfloat16):
        return scaled_dot_product_attention(q, k, v)
    with torch.autocast("cpu", enabled=False):
        learned = torch.is_grad_enabled() and (q.requires_grad or k.requires_grad or v.requires_grad)
        if autocast and (not has_bfloat16("cpu") or (learned and q[..., 0].numel() * k.shape[2] > MOST_WEIGHTS)):
            return scaled_dot_product_attention(q.float(), k.float(), v.float())
        rows = [x.to(torch.bfloat16).flatten(0, 1) for x in (q / sqrt(q.shape[-1]), k, v)]
        y = _products(*rows) if learned else _in_parts(*rows)
        return y.reshape(*q.shape[:3], v.shape[-1])


def _products(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.bmm(torch.bmm(q, k.transpose(1, 2)).softmax(-1), v)


def _in_parts(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """So many heads or queries at once that their weights stay in the processor's cache."""
    y = q.new_empty(*q.shape[:2], v.shape[2])
    queries = max(1, PART // k.shape[1])
    heads = max(1, queries // q.shape[1])
    for first, start in product(range(0, len(q), heads), range(0, q.shape[1], queries)):
        some, here = slice(first, first + heads), slice(start, start + queries)
        y[some, here] = _products(q[some, here], k[some], v[some])
    return y


def heads_for(width: int) -> int:
    """The most heads of 32 features or more, of an even width, that divide `width`.

    >>> heads_for(96), heads_for(112), heads_for(16)
    (3, 2, 1)
    """
    return max((heads for heads in range(1, width // 32 + 1) if width % (2 * heads) == 0), default=1)


class FeedForward(nn.Module):
    """W3 (silu(W1 x) · W2 x), SwiGLU. Shazeer 2020 (GLU variants), eq. 6, the hidden width about 8/3 of the outer.

    W1 and W2 are two layers: splitting the output of one would cost its backward pass a copy of the widest tensor.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = 32 * max(1, round(width / 12))
        self.gate = Linear(width, hidden, bias=False)
        self.value = Linear(width, hidden, bias=False)
        self.output = Linear(hidden, width, bias=False)

    def forward(self, x: Tensor, _tokens: Tensor | None = None) -> Tensor:
        y: Tensor = self.output(silu(self.gate(x)) * self.value(x))
        return y
