"""The additive chain x_{k+1} = x_k + sqrt(c_k) z_k with exponentially changing increments, as a curve in t = k / T.

Two directions, in which the idea is told:

    "noising":     c_k = c_0 exp(-k / tau)             the first increments are the largest
    "generation":  c_k = c_0 exp(-(T - 1 - k) / tau)   the last are: a geometric variance-exploding chain (the default)

Summing the geometric series gives the marginal variance after k steps,

    "noising":     c_0 (1 - exp(-k / tau)) / (1 - exp(-1 / tau))
    "generation":  c_0 exp(-(T - 1) / tau) (exp(k / tau) - 1) / (exp(1 / tau) - 1)

which also serve between the steps, for real k. The continuous limit replaces the sum by
∫_0^k c_u du, in "generation" with c_u = c_0 exp(-(T - u) / tau).
"""

from dataclasses import dataclass
from math import exp, expm1
from typing import Literal

import torch
from torch import Tensor

from pellucid.schedules.exploding import VarianceExploding
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class Additive(VarianceExploding):
    """alpha = 1, sigma_t^2 the sum of the first k = t T increments.

    Arguments:
        steps: T, the number of increments.
        tau: decay length in steps; by default T / 14, which spans a factor of about 1,000 in the size of an increment.
        increment_0: c_0, the largest increment (a variance); by default chosen so that sigma is 20 at t = 1.
        direction: along which direction the increments fall.
        continuous: the limit of infinitely many, infinitely small increments of the same total rate.
    """

    steps: int = 1000
    tau: float | None = None
    increment_0: float | None = None
    direction: Literal["generation", "noising"] = "generation"
    continuous: bool = False

    def __post_init__(self) -> None:
        require("steps", self.steps, 1, 100_000, closed=True)
        if self.tau is None:
            object.__setattr__(self, "tau", self.steps / 14)
        require("tau", self._tau, self.steps / 600, 1e9)
        if self.increment_0 is None:
            object.__setattr__(self, "increment_0", 400.0 / self._sum(float(self.steps)))
        require("increment_0", self._c0, 0, 1e12)

    @property
    def _tau(self) -> float:
        assert self.tau is not None
        return self.tau

    @property
    def _c0(self) -> float:
        assert self.increment_0 is not None
        return self.increment_0

    @property
    def _unit(self) -> float:
        """Total of unit-rate increments over one decay length: the geometric sum, or its integral tau."""
        return self._tau if self.continuous else -1 / expm1(-1 / self._tau)

    def _sum(self, k: float) -> float:
        """The variance after k steps for c_0 = 1."""
        scale = 1.0 if self.direction == "noising" else exp(-(self.steps - k) / self._tau)
        return -self._unit * scale * expm1(-k / self._tau)

    def increments(self) -> Tensor:
        """increment_k for k = 0 .. T - 1, each a variance: what the k-th step adds."""
        edges = self.variance(torch.arange(self.steps + 1, dtype=torch.float64) / self.steps)
        k = torch.arange(self.steps, dtype=torch.float64)
        age = k if self.direction == "noising" else self.steps - 1 - k
        return edges.diff() if self.continuous else self._c0 * torch.exp(-age / self._tau)

    def variance(self, t: Tensor) -> Tensor:
        k = t * self.steps
        scale = 1.0 if self.direction == "noising" else torch.exp((k - self.steps) / self._tau)
        return -self._c0 * self._unit * scale * torch.expm1(-k / self._tau)

    def d_variance(self, t: Tensor) -> Tensor:
        k = t * self.steps
        age = k if self.direction == "noising" else self.steps - k
        return self._c0 * self._unit / self._tau * self.steps * torch.exp(-age / self._tau)

    def time_at_variance(self, variance: Tensor) -> Tensor:
        share = variance / (self._c0 * self._unit)
        if self.direction == "noising":
            return -self._tau * torch.log1p(-share) / self.steps
        return self._tau * torch.log1p(share * exp(self.steps / self._tau)) / self.steps
