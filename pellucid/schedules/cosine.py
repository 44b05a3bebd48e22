"""The cosine schedule. Nichol and Dhariwal 2021 (Improved DDPM), eq. 17, in continuous time and without clipping."""

from dataclasses import dataclass
from math import cos, inf, pi
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.schedule import Family, Schedule, require


@dataclass(frozen=True, kw_only=True)
class Cosine(Schedule):
    """alpha_t = cos(θ_t) / cos(θ_0), θ_t = π/2 (t + offset) / (1 + offset), alpha^2 + sigma^2 = 1. Zero terminal SNR.

    Arguments:
        offset: the paper's s = 0.008, which keeps the first steps from being too small; 0 gives alpha = cos(π t / 2).
    """

    family: ClassVar[Family] = "variance-preserving"
    offset: float = 0.008

    def __post_init__(self) -> None:
        require("offset", self.offset, 0, 1, closed=True)

    @property
    def _speed(self) -> float:
        return pi / 2 / (1 + self.offset)

    @property
    def _start(self) -> float:
        return self._speed * self.offset

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sin(self._speed * (1 - t)) / cos(self._start)  # cos θ as sin(π/2 - θ): exactly 0 at t = 1

    def sigma(self, t: Tensor) -> Tensor:
        # cos^2 a - cos^2 b = sin(b - a) sin(b + a): no cancellation near t = 0
        return torch.sqrt(torch.sin(self._speed * t) * torch.sin(self._speed * t + 2 * self._start)) / cos(self._start)

    def d_alpha(self, t: Tensor) -> Tensor:
        return -self._speed * torch.cos(self._speed * (1 - t)) / cos(self._start)

    def d_sigma(self, t: Tensor) -> Tensor:
        sigma = self.sigma(t)
        slope = -self.alpha(t) * self.d_alpha(t) / sigma  # from alpha^2 + sigma^2 = 1
        return torch.where(sigma > 0, slope, self._speed if self.offset == 0 else inf)
