"""Tokens of several kinds in one sequence: each kind has its own way into a network and out of it."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.networks.initialise import zeroed
from pellucid.networks.linear import Linear


class Segments(nn.Module):
    """Linear maps to and from features, one for each segment, of the first values of its tokens alone.

    Tokens are as long as the longest kind, filled up with nothing. Were they all read by one map, those of few values would
    be drowned by the noise on what fills them up, and where they are known be faint.

    Arguments:
        segments: (values, tokens) of each, in their order.
        longest: values of a token.
        width: features.
    """

    def __init__(self, segments: Sequence[tuple[int, int]], longest: int, width: int) -> None:
        super().__init__()
        ends = list(accumulate(tokens for _, tokens in segments))
        self.places = [slice(start, end) for start, end in pairwise([0, *ends])]
        self.values, self.longest = [values for values, _ in segments], longest
        self.stems = nn.ModuleList(Linear(values, width, bias=False) for values in self.values)
        self.heads = nn.ModuleList(zeroed(Linear(width, values)) for values in self.values)

    def into(self, x: Tensor) -> Tensor:
        """(B, L, longest) -> (B, L, width)."""
        parts = zip(self.stems, self.values, self.places, strict=True)
        return torch.cat([stem(x[:, place, :values]) for stem, values, place in parts], 1)

    def out(self, h: Tensor) -> Tensor:
        """(B, L, width) -> (B, L, longest), 0 where there is nothing."""
        parts = zip(self.heads, self.values, self.places, strict=True)
        return torch.cat([pad(head(h[:, place]), (0, self.longest - values)) for head, values, place in parts], 1)
