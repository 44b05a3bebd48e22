"""Tokens that are copied from what is known, such as a name in the text that is to be summarised."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from pellucid.networks.linear import Linear

RARELY = -2.0
"""The gate at the start: what is copied has a share of 12%."""

LIKELY = 2.0
"""b and c at the start."""


class Pointer(nn.Module):
    """p(v) = (1 - g) p_W(v) + g sum_j a_j [x_j = v],    over all tokens j that are known

    a_ij = softmax_j(q_i · k_j / √d + b [x_(i-1) = x_(j-1)] + c [x_(i+1) = x_(j+1)])

    See, Liu & Manning 2017, eq. 9, with all of the window as the source: q, k and g are linear in the features of a token.
    By b and c what has been begun is copied to its end, as by the selective read of Gu et al. 2016 (CopyNet, eq. 9).

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
        self.goes_on = nn.Parameter(torch.full((2,), LIKELY))  # b, c

    def forward(self, features: Tensor, x_t: Tensor, where: Tensor, log_p: Tensor) -> Tensor:
        """Log-probabilities (N, K) of tokens.

        Arguments:
            features: (B, L, width).
            x_t: (B, L).
            where: (B, L), which N are asked for.
            log_p: (N, K), log p_W of them.
        """
        known, rows = x_t < self.categories, where.nonzero()[:, 0]
        scores = (self.query(features) @ self.key(features).mT / sqrt(features.shape[-1])).float()
        shown, scores = known[rows], (scores + self._going_on(x_t, known))[where]
        pointed = scores.masked_fill(~shown, -torch.inf).softmax(-1).nan_to_num(0.0)  # where nothing is known
        copied = torch.zeros_like(log_p).scatter_add(1, x_t[rows].clamp(max=self.categories - 1), pointed.to(log_p))
        gate = self.gate(features)[where].to(log_p).masked_fill(~shown.any(1, keepdim=True), -torch.inf)
        tiny = torch.finfo(log_p.dtype).tiny
        return torch.logaddexp(logsigmoid(-gate) + log_p, logsigmoid(gate) + copied.clamp(min=tiny).log())

    def _going_on(self, x_t: Tensor, known: Tensor) -> Tensor:
        """(B, L, L): what speaks for token j at the place i because they have neighbours alike."""
        alike = ((x_t.unsqueeze(2) == x_t.unsqueeze(1)) & known.unsqueeze(1)).to(self.goes_on.dtype)
        before, after = pad(alike[:, :-1, :-1], (1, 0, 1, 0)), pad(alike[:, 1:, 1:], (0, 1, 0, 1))
        b, c = self.goes_on
        found: Tensor = b * before + c * after
        return found
