"""EDM's curve sigma(t) = t, with time rescaled to end at 1. Karras et al. 2022, table 1."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.exploding import VarianceExploding
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class EDM(VarianceExploding):
    """alpha = 1, sigma = sigma_max t. The smallest level of a sampler belongs to its grid (`karras`), not to the curve.

    Arguments:
        sigma_max: noise level at t = 1, in units of the data; the paper's 80 suits data of standard deviation 0.5.
    """

    grid: ClassVar[str] = "karras"
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        require("sigma_max", self.sigma_max, 0, 1e6)

    def variance(self, t: Tensor) -> Tensor:
        return (self.sigma_max * t) ** 2

    def d_variance(self, t: Tensor) -> Tensor:
        return 2 * self.sigma_max**2 * t

    def time_at_variance(self, variance: Tensor) -> Tensor:
        return variance.sqrt() / self.sigma_max

    def sigma(self, t: Tensor) -> Tensor:
        return self.sigma_max * t

    def d_sigma(self, t: Tensor) -> Tensor:
        return torch.full_like(t, self.sigma_max)
