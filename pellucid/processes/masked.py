"""Masked diffusion: a token is either what it was or hidden. Austin et al. 2021 (D3PM), "absorbing"."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pellucid.processes.discrete import TINY, Discrete


@dataclass(frozen=True, kw_only=True)
class Masked(Discrete):
    """x_t = x0 with probability alpha_t, else the mask, which is the number K."""

    @classmethod
    def example(cls) -> Self:
        return cls(categories=3)

    @property
    def states(self) -> int:
        return self.categories + 1

    @property
    def absorbing(self) -> bool:
        return True

    @property
    def mask(self) -> int:
        """What stands for a hidden token."""
        return self.categories

    def corrupt(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        alpha_t, _ = self.keep(t, x0)
        shown = (eps.to(x0.device) < alpha_t) | (alpha_t >= 1)  # in 32 bits a number below 1 may have become 1
        return torch.where(shown, x0, self.mask)

    def prior(self, eps: Tensor, *, mean: float = 0.0, std: float = 0.0) -> Tensor:  # noqa: ARG002
        return torch.full(eps.shape, self.mask, dtype=torch.int64)

    def log_probability(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        alpha_t, _ = self.keep(t, x_t)
        shown = torch.where(x_t == x0, alpha_t, 0.0)
        return torch.where(x_t == self.mask, 1 - alpha_t, shown).log()

    def reverse(self, x_t: Tensor, p: Tensor, t: Tensor, s: Tensor, remask: float = 0.0) -> Tensor:
        """A hidden token is shown with probability (alpha_s - (1 - r) alpha_t) / (1 - alpha_t), one that is shown is hidden
        with probability r. Without remasking r = 0, and a token that was shown stays.

        Arguments:
            remask: how many times as fast as noise would hide them shown tokens are hidden again, so that mistakes can be
                mended: r = 1 - (alpha_t / alpha_s)^remask, at most (1 - alpha_s) / alpha_t. Marginals stay right. Wang et
                al. 2025 (ReMDM), eq. 5, with a rate of our own.
        """
        (alpha_t, _), (alpha_s, _) = self.keep(t, x_t), self.keep(s, x_t)
        again = 1 - (alpha_t / alpha_s) ** remask
        again = torch.minimum(again, (1 - alpha_s) / alpha_t.clamp(min=TINY)).expand(x_t.shape)
        show = ((alpha_s - (1 - again) * alpha_t) / (1 - alpha_t)).unsqueeze(-1)
        hidden = torch.cat([show * p.double(), 1 - show], dim=-1)
        kept = torch.zeros_like(hidden)
        kept[..., self.mask] = again
        kept.scatter_(-1, x_t.unsqueeze(-1), (1 - again).unsqueeze(-1))
        return torch.where((x_t == self.mask).unsqueeze(-1), hidden, kept)

    def unsettled(self, x_t: Tensor, t: Tensor) -> Tensor:  # noqa: ARG002
        return x_t == self.mask

    def rate(self, x0: Tensor, x_t: Tensor, log_p: Tensor, t: Tensor) -> Tensor:
        """-log p(x0) of each hidden token, times -d alpha / dt / (1 - alpha). Sahoo et al. 2024 (MDLM), eq. 10."""
        alpha_t, d_alpha_t = self.keep(t, x0)
        hidden = x_t == self.mask
        surprise = -log_p.gather(-1, x0.unsqueeze(-1)).squeeze(-1)
        weight = torch.where(hidden, -d_alpha_t / (1 - alpha_t), 0.0)
        return weight.to(surprise) * torch.where(hidden, surprise, 0.0)
