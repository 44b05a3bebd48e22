"""Straight lines from data to noise: alpha = 1 - t, sigma = t. Liu et al. 2022 (Rectified Flow), eq. 1."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.schedule import Family, Schedule


@dataclass(frozen=True, kw_only=True)
class Rectified(Schedule):
    """alpha_t = 1 - t, sigma_t = t. Zero terminal SNR. Velocity is eps - x0."""

    family: ClassVar[Family] = "rectified"

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t * 1.0

    def d_alpha(self, t: Tensor) -> Tensor:
        return -torch.ones_like(t)

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def time_at(self, log_snr: Tensor) -> Tensor:
        """sigma / alpha = t / (1 - t) = exp(-log_snr / 2)."""
        return torch.sigmoid(-torch.as_tensor(log_snr, dtype=torch.float64) / 2)
