"""Variance-preserving schedules given by log alpha: alpha^2 + sigma^2 = 1."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.schedule import Family, Schedule


@dataclass(frozen=True, kw_only=True)
class VariancePreserving(Schedule):
    """alpha = exp(log_alpha), sigma = sqrt(1 - alpha^2), accurate at both ends. Subclasses give `log_alpha`."""

    family: ClassVar[Family] = "variance-preserving"

    @abstractmethod
    def log_alpha(self, t: Tensor) -> Tensor:
        """log alpha_t; 0 at t = 0."""

    @abstractmethod
    def d_log_alpha(self, t: Tensor) -> Tensor:
        """d log_alpha / dt."""

    def alpha(self, t: Tensor) -> Tensor:
        return self.log_alpha(t).exp()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(-torch.expm1(2 * self.log_alpha(t)))

    def d_alpha(self, t: Tensor) -> Tensor:
        return self.alpha(t) * self.d_log_alpha(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return -self.alpha(t) ** 2 * self.d_log_alpha(t) / self.sigma(t)
