"""The geometric variance-exploding process. Song et al. 2021 (Score SDE), eq. 9 and the kernel of appendix C, eq. 30."""

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from pellucid.schedules.exploding import VarianceExploding
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class VE(VarianceExploding):
    """alpha = 1, sigma_t^2 = sigma_min^2 ((sigma_max / sigma_min)^(2t) - 1): noise added at a geometric rate from zero.

    Arguments:
        sigma_min, sigma_max: 0 < sigma_min < sigma_max; sigma_min is where the geometric growth sets in.
    """

    sigma_min: float = 0.01
    sigma_max: float = 50.0

    def __post_init__(self) -> None:
        require("sigma_max", self.sigma_max, 0, 1e6)
        require("sigma_min", self.sigma_min, 0, self.sigma_max)

    @property
    def _rate(self) -> float:
        return 2 * log(self.sigma_max / self.sigma_min)

    def variance(self, t: Tensor) -> Tensor:
        return self.sigma_min**2 * torch.expm1(self._rate * t)

    def d_variance(self, t: Tensor) -> Tensor:
        return self.sigma_min**2 * self._rate * torch.exp(self._rate * t)

    def time_at_variance(self, variance: Tensor) -> Tensor:
        return torch.log1p(variance / self.sigma_min**2) / self._rate
