"""What every schedule is: a curve t -> (alpha_t, sigma_t) with derivatives.

    x_t = alpha_t x0 + sigma_t eps,    t in [0, 1],    (alpha_0, sigma_0) = (1, 0)

log_snr = 2 log(alpha_t / sigma_t) strictly falls from +inf at t = 0. It is -inf at t = 1 when the terminal signal-to-noise
ratio is zero, so whoever works at the ends uses (alpha, sigma), never the logarithm.

Times are float64 on the CPU, as are all values that come back: they are small, and samplers need the precision.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError

Family = Literal["variance-preserving", "variance-exploding", "rectified"]
"""What is held at 1: alpha^2 + sigma^2, alpha, or alpha + sigma."""


@dataclass(frozen=True, kw_only=True)
class Schedule(ABC):
    """A curve t -> (alpha_t, sigma_t). Subclasses give `alpha`, `sigma` and their derivatives; the rest follows."""

    family: ClassVar[Family]
    grid: ClassVar[str] = "uniform"
    """Name of the grid of times that suits samplers along this curve."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor:
        """Scale of the clean data: 1 at t = 0, falling or constant."""

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor:
        """Scale of the noise: 0 at t = 0, rising."""

    @abstractmethod
    def d_alpha(self, t: Tensor) -> Tensor:
        """d alpha / dt; infinite at t = 1 where alpha ends like a square root."""

    @abstractmethod
    def d_sigma(self, t: Tensor) -> Tensor:
        """d sigma / dt; infinite at t = 0 where sigma starts like a square root."""

    @classmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""
        return cls()

    def log_snr(self, t: Tensor) -> Tensor:
        """2 log(alpha_t / sigma_t), natural logarithm."""
        return 2 * (self.alpha(t).log() - self.sigma(t).log())

    def d_log_snr(self, t: Tensor) -> Tensor:
        """d log_snr / dt, negative."""
        return 2 * (self.d_alpha(t) / self.alpha(t) - self.d_sigma(t) / self.sigma(t))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """The t whose log-SNR this is, by bisection; values beyond the ends give the ends, exactly 0 or 1."""
        target = torch.as_tensor(log_snr, dtype=torch.float64)
        low, high = torch.zeros_like(target), torch.ones_like(target)
        for _ in range(100):
            middle = (low + high) / 2
            noisier = self.log_snr(middle) < target
            low, high = torch.where(noisier, low, middle), torch.where(noisier, middle, high)
        end = self.log_snr(torch.ones((), dtype=torch.float64))
        inside = torch.where(target <= end, torch.ones_like(target), (low + high) / 2)
        return torch.where(target == inf, torch.zeros_like(target), inside)

    def time_at_ratio(self, ratio: Tensor) -> Tensor:
        """The t at which sigma_t / alpha_t is `ratio`: the noise level in the units of EDM."""
        return self.time_at(-2 * torch.as_tensor(ratio, dtype=torch.float64).log())

    @property
    def zero_terminal_snr(self) -> bool:
        """Whether nothing of the data is left at t = 1."""
        return bool(self.alpha(torch.ones((), dtype=torch.float64)) == 0)


def require(name: str, value: float, low: float, high: float, *, closed: bool = False) -> None:
    """Refuse a parameter outside its range, saying what came and what is allowed; `closed` admits the ends."""
    inside = low <= value <= high if closed else low < value < high
    if not inside:
        ends = "[]" if closed else "()"
        raise ConfigError(f"{name} = {value:g} is out of range: allowed is {ends[0]}{low:g}, {high:g}{ends[1]}")
