"""Variance-exploding schedules: alpha = 1, only noise is added. Given by the variance sigma^2."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.schedule import Family, Schedule


@dataclass(frozen=True, kw_only=True)
class VarianceExploding(Schedule):
    """alpha = 1, sigma = sqrt(variance). Subclasses give `variance`, its derivative and its inverse."""

    family: ClassVar[Family] = "variance-exploding"

    @abstractmethod
    def variance(self, t: Tensor) -> Tensor:
        """sigma_t^2; 0 at t = 0."""

    @abstractmethod
    def d_variance(self, t: Tensor) -> Tensor:
        """d sigma_t^2 / dt."""

    @abstractmethod
    def time_at_variance(self, variance: Tensor) -> Tensor:
        """The inverse of `variance`, not yet limited to [0, 1]."""

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def d_alpha(self, t: Tensor) -> Tensor:
        return torch.zeros_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return self.variance(t).sqrt()

    def d_sigma(self, t: Tensor) -> Tensor:
        return self.d_variance(t) / (2 * self.sigma(t))

    def time_at(self, log_snr: Tensor) -> Tensor:
        """From sigma^2 = exp(-log_snr); values beyond the ends give the ends."""
        log_snr = torch.as_tensor(log_snr, dtype=torch.float64)
        end = self.variance(torch.ones((), dtype=torch.float64))
        inside = self.time_at_variance(torch.minimum(torch.exp(-log_snr), end)).clamp(0, 1)
        return torch.where(log_snr <= -end.log(), torch.ones_like(inside), inside)
