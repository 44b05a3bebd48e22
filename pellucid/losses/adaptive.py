"""Noise levels drawn the more often the larger their losses are, so that the mean over a batch scatters the least."""

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.losses import times
from pellucid.losses.time import Times
from pellucid.schedules.schedule import Schedule, require

FORGET = 0.99
"""What is left of older losses after each step."""
KNOTS, LARGEST = 64, 20.0
"""Of a schedule made of it, and values of log-SNR beyond which nothing is left of noise, or of data."""


class Profile(nn.Module):
    """The mean square of the losses in each of `bins` slices of a distribution of times, as far as they were seen.

    What a step adds counts from the next one on, in whatever parts its batch comes.
    """

    squares: Tensor
    counts: Tensor
    new_squares: Tensor
    new_counts: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        for name in ("squares", "counts", "new_squares", "new_counts"):
            self.register_buffer(name, torch.zeros(bins))

    def add(self, slices: Tensor, losses: Tensor) -> None:
        """Losses (B,) in these slices (B,)."""
        slices = slices.to(self.squares.device)
        self.new_squares.index_add_(0, slices, losses.detach().to(self.squares) ** 2)
        self.new_counts.index_add_(0, slices, torch.ones_like(losses, dtype=self.counts.dtype).to(self.counts.device))

    def fold(self) -> None:
        """Take in what was added since."""
        for old, new in ((self.squares, self.new_squares), (self.counts, self.new_counts)):
            old.mul_(FORGET).add_(new)
            new.zero_()

    def roots(self) -> Tensor:
        """sqrt(E[loss²]) of each slice, float64 on the CPU; the mean over the others where nothing was seen; 1 at first."""
        squares, counts = self.squares.double().cpu(), self.counts.double().cpu()
        seen = counts > 0
        if not bool(seen.any()):
            return torch.ones_like(squares)
        found = (squares / counts.clamp_min(1e-12)).sqrt()
        return torch.where(seen, found, found[seen].mean())


@dataclass(frozen=True, kw_only=True)
class Adaptive(Times):
    """p(t) = base(t) q_k / mean(q) in slice k of the base, q_k = even mean(r) + (1 - even) r_k with r_k = sqrt(E[loss²]).

    Nichol and Dhariwal 2021 (improved DDPM), eq. 18, in slices of any distribution. Losses are divided by q_k / mean(q), so
    what is minimised in expectation stays that of the base, and its estimate varies less.

    Arguments:
        base: name of the distribution.
        bins: slices of it, equally likely.
        even: how much of the base is kept.
    """

    base: str = "mode"
    bins: int = 32
    even: float = 0.2
    profile: Profile = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        require("bins", self.bins, 1, 4096, closed=True)
        require("even", self.even, 0, 1, closed=True)
        object.__setattr__(self, "profile", Profile(self.bins))

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:
        ends = torch.cat([torch.zeros(1, dtype=torch.float64), (self.densities() / self.bins).cumsum(0)])
        ends = ends / ends[-1]
        k = (torch.searchsorted(ends, u, right=True) - 1).clamp(0, self.bins - 1)
        within = ((u - ends[k]) / (ends[k + 1] - ends[k])).clamp(0, 1)
        return self._base.quantile((k + within) / self.bins, schedule)

    def densities(self) -> Tensor:
        """p / base in each slice, (bins,), of mean 1."""
        roots = self.profile.roots()
        mixed = self.even * roots.mean() + (1 - self.even) * roots
        return mixed / mixed.mean()

    def slices(self, t: Tensor, schedule: Schedule) -> Tensor:
        """In which slice of the base each t lies, (B,)."""
        low, high = torch.zeros_like(t), torch.ones_like(t)
        for _ in range(60):
            middle = (low + high) / 2
            before = self._base.quantile(middle, schedule) < t
            low, high = torch.where(before, middle, low), torch.where(before, high, middle)
        return (low * self.bins).long().clamp(0, self.bins - 1)

    def knots(self, schedule: Schedule, count: int = KNOTS) -> list[float]:
        """log-SNR at the 1/count, 2/count, ... quantiles: those of a `schedules.Learned` on which this is uniform."""
        t = self.quantile(torch.arange(1, count + 1, dtype=torch.float64) / count, schedule)
        found: list[float] = schedule.log_snr(t).clamp(-LARGEST, LARGEST).tolist()
        return found

    @property
    def _base(self) -> Times:
        found: Times = build(times, {"name": self.base, "stratify": self.stratify})
        return found
