"""Samplers of tokens: what comes next is drawn from the categories that the denoiser expects."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pellucid.denoisers.posterior import choose
from pellucid.processes.discrete import Discrete
from pellucid.processes.masked import Masked
from pellucid.samplers.sampler import Now, Sampler
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class TokenSampler(Sampler):
    """What they have in common.

    Arguments:
        temperature: divides the logits; 1 is right, below 1 what is likely becomes more so.
        top_p: only the likeliest categories are drawn, as many as have this probability together; 1: all.
    """

    needs: ClassVar[str] = "logits"
    assumes_gaussian: ClassVar[bool] = False

    temperature: float = 1.0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        require("temperature", self.temperature, 0, 10)
        require("top_p", self.top_p, 0, 1 + 1e-12)

    @property
    def stochastic(self) -> bool:
        return True

    def sharpened(self, log_p: Tensor) -> Tensor:
        """Probabilities (..., K), sharpened as asked for, in float64."""
        p = (log_p.double() / self.temperature).softmax(-1)
        return p if self.top_p >= 1 else nucleus(p, self.top_p)


@dataclass(frozen=True, kw_only=True)
class Tokens(TokenSampler):
    """Each token of x_s drawn from the mean of q(x_s | x_t, x0) over p(x0 | x_t). Austin et al. 2021 (D3PM), eq. 4.

    Tokens that change in the same step do not know of each other: exact as steps become small.

    Arguments:
        remask: for masked tokens, how many times as fast as noise would hide them those that are shown are hidden again, so
            that mistakes can be mended; see `Masked.reverse`.
    """

    remask: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("remask", self.remask, 0, 1000, closed=True)

    def step(self, now: Now, x: Tensor) -> Tensor:
        p = self.sharpened(now.categories(x, now.t).logits)
        if self.remask:
            there = Masked.of(now.process).reverse(x, p, now.t, now.s, self.remask)
        else:
            there = Discrete.of(now.process).reverse(x, p, now.t, now.s)
        return choose(now.source.uniform("sampler", now.step, x.shape[1:]).to(x.device), there)


@dataclass(frozen=True, kw_only=True)
class Reveal(TokenSampler):
    """For masked tokens: at each step as many are shown as is their number's expectation, rounded up, and which is a
    choice. With more steps than hidden tokens it is done before the last.

    At random, one in each step, it is exact. Those of which the denoiser is surest first, it needs fewer steps, and draws
    what is likely more often than it is (Chang et al. 2022, MaskGIT, section 3.2).

    Arguments:
        first: "random"; "surest", by the probability of what was drawn; or "left", from left to right.
        chance: with "surest", the scale at t = 1 of Gumbel noise on the log-probabilities by which they are ordered; it
            falls with t.
    """

    first: Literal["random", "surest", "left"] = "random"
    chance: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("chance", self.chance, 0, 100, closed=True)

    def step(self, now: Now, x: Tensor) -> Tensor:
        process = Masked.of(now.process)
        hidden = (x == process.mask).flatten(1)
        if not bool(hidden.any()):
            return x
        said, u = now.categories(x, now.t), now.source.uniform("sampler", now.step, hidden.shape[1:]).to(x.device)
        (alpha_t, _), (alpha_s, _) = process.keep(now.t, x), process.keep(now.s, x)
        stay = torch.floor(hidden.sum(1) * float((1 - alpha_s) / (1 - alpha_t)) + 1e-9).long()
        worth, count = self._worth(now, hidden), (hidden.sum(1) - stay)[:, None]
        where = hidden if self.first == "surest" else _best(worth, hidden, count)
        p, drawn = self.sharpened(said.at(where.reshape(x.shape))), x.flatten(1).clone()
        drawn[where] = choose(u[where], p)
        if self.first == "surest":
            worth[where] += p.gather(-1, drawn[where].unsqueeze(-1)).squeeze(-1).log()
            drawn = torch.where(_best(worth, hidden, count), drawn, x.flatten(1))
        return drawn.reshape(x.shape)

    def _worth(self, now: Now, hidden: Tensor) -> Tensor:
        """By which tokens are ordered, (B, L), before it is known what they are."""
        if self.first == "left":
            return torch.arange(hidden.shape[1], 0, -1, device=hidden.device).expand(hidden.shape).double()
        u = now.source.uniform("order", now.step, hidden.shape[1:]).to(hidden.device)
        return u if self.first == "random" else -self.chance * float(now.t) * (-u.log()).log()


def _best(worth: Tensor, hidden: Tensor, count: Tensor) -> Tensor:
    """Which of those that are hidden are shown: the `count` (B, 1) of most worth."""
    rank = worth.masked_fill(~hidden, -torch.inf).argsort(1, descending=True).argsort(1)
    return hidden & (rank < count)


def nucleus(p: Tensor, share: float) -> Tensor:
    """The likeliest categories of each token that together have this probability, and nothing else. Holtzman et al. 2020.

    >>> nucleus(torch.tensor([0.5, 0.2, 0.3]), 0.7).tolist()
    [0.625, 0.0, 0.375]
    """
    ordered, place = p.sort(-1, descending=True)
    before = ordered.cumsum(-1) - ordered
    kept = torch.zeros_like(p).scatter(-1, place, torch.where(before < share, ordered, 0.0))
    return kept / kept.sum(-1, keepdim=True)
