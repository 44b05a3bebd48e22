"""Tokens that are copied from what is known, such as a name in the text that is to be summarised."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from pellucid.networks.linear import Linear

RARELY = -2.0
"""The gate at the start: what is copied has a share of 12%."""


class Pointer(nn.Module):
    """p(v) = (1 - g) p_W(v) + g sum_j a_j [x_j = v],    a = softmax_j(q · k_j / √d) over all tokens that are known

    See, Liu & Manning 2017, eq. 9, with all of the window as the source: q, k and g are linear in the features of a token.

    Arguments:
        width: d, of features.
        categories: of tokens; a larger number is the mask.
    """

    def __init__(self, width: int, categories: int) -> None:
        super().__init__()
        self.categories = categories
        self.query, self.key, self.gate = Linear(width, width), Linear(width, width), Linear(width, 1)
        for part in (self.query, self.key):
            nn.init.zeros_(part.bias)
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, RARELY)

    def forward(self, features: Tensor, x_t: Tensor, where: Tensor, log_p: Tensor) -> Tensor:
        """Log-probabilities (N, K) of tokens.

        Arguments:
            features: (B, L, width).
            x_t: (B, L).
            where: (B, L), which N are asked for.
            log_p: (N, K), log p_W of them.
        """
        known, rows = x_t < self.categories, where.nonzero()[:, 0]
        scores = (self.query(features) @ self.key(features).mT)[where] / sqrt(features.shape[-1])
        shown = known[rows]
        pointed = scores.float().masked_fill(~shown, -torch.inf).softmax(-1).nan_to_num(0.0)  # where nothing is known
        copied = torch.zeros_like(log_p).scatter_add(1, x_t[rows].clamp(max=self.categories - 1), pointed.to(log_p))
        gate = self.gate(features[where]).to(log_p).masked_fill(~shown.any(1, keepdim=True), -torch.inf)
        tiny = torch.finfo(log_p.dtype).tiny
        return torch.logaddexp(logsigmoid(-gate) + log_p, logsigmoid(gate) + copied.clamp(min=tiny).log())
