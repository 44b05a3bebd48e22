"""The continuous limits of the two published beta tables, as variance-preserving processes.

dx = -beta(t)/2 x dt + sqrt(beta(t)) dw gives log alpha_t = -1/2 ∫_0^t beta. Song et al. 2021 (Score SDE), eq. 11 and
appendix C. For the tables themselves, step for step, use `Table`.
"""

from dataclasses import dataclass
from math import sqrt

from torch import Tensor

from pellucid.schedules.preserving import VariancePreserving
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class Linear(VariancePreserving):
    """beta(t) = beta_min + t (beta_max - beta_min): DDPM's table of 1,000 steps, Ho et al. 2020, section 4.

    Arguments:
        beta_min, beta_max: 1,000 times the table's first and last beta; 0 <= beta_min < beta_max.
    """

    beta_min: float = 0.1
    beta_max: float = 20.0

    def __post_init__(self) -> None:
        require("beta_max", self.beta_max, 0, 1000)
        require("beta_min", self.beta_min, 0, self.beta_max, closed=True)

    def log_alpha(self, t: Tensor) -> Tensor:
        return -t / 2 * (self.beta_min + t / 2 * (self.beta_max - self.beta_min))

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -(self.beta_min + t * (self.beta_max - self.beta_min)) / 2


@dataclass(frozen=True, kw_only=True)
class ScaledLinear(VariancePreserving):
    """sqrt(beta(t)) linear in t: the table of Stable Diffusion. Rombach et al. 2022, appendix.

    Arguments:
        beta_min, beta_max: 1,000 times the table's first and last beta; 0 <= beta_min < beta_max.
    """

    beta_min: float = 0.85
    beta_max: float = 12.0

    def __post_init__(self) -> None:
        require("beta_max", self.beta_max, 0, 1000)
        require("beta_min", self.beta_min, 0, self.beta_max, closed=True)

    def _root(self, t: Tensor) -> Tensor:
        return sqrt(self.beta_min) + t * (sqrt(self.beta_max) - sqrt(self.beta_min))

    def log_alpha(self, t: Tensor) -> Tensor:
        a, r = sqrt(self.beta_min), self._root(t)
        return -t / 6 * (a * a + a * r + r * r)  # ∫ r^2 dt = t (a^2 + a r + r^2) / 3 for r linear from a

    def d_log_alpha(self, t: Tensor) -> Tensor:
        return -self._root(t) ** 2 / 2
