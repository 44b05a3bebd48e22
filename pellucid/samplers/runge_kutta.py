"""Runge-Kutta samplers of the probability-flow ODE, as tableaus, with EDM's optional churn.

The ODE can be written along three variables u, each with its state y and slope dy/du, where x0 = D(x, t)
and eps = (x - alpha x0) / sigma:

    "sigma"   u = sigma / alpha          y = x / alpha     slope eps                     Karras et al. 2022, eq. 1
    "angle"   u = atan(sigma / alpha)    y = x / n         slope (alpha eps - sigma x0) / n,   n = sqrt(alpha^2 + sigma^2)
    "t"       u = t                      y = x             slope d_alpha x0 + d_sigma eps      Lipman et al. 2023

"sigma" is the usual choice but is infinite where alpha = 0, and so is the slope along "t" of some schedules there; "angle"
is regular at both ends.
"""

from dataclasses import dataclass
from math import sqrt
from typing import ClassVar, Literal

import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.samplers.sampler import Now, Sampler, combine
from pellucid.schedules.schedule import require

Variable = Literal["sigma", "angle", "t"]


@dataclass(frozen=True)
class Tableau:
    """An explicit Runge-Kutta method: nodes c, stage weights a, final weights b."""

    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class RungeKutta(Sampler):
    """One step of the tableau along `variable`, preceded by churn.

    A step whose stages would evaluate the denoiser at sigma = 0 is an Euler step instead (Karras et al. 2022, algorithm 1).

    Arguments:
        variable: see above; by default "sigma", and "angle" for a step from where alpha = 0.
        churn: total amount of noise added back over the steps (S_churn); 0 is deterministic. Algorithm 2.
        churn_min, churn_max: noise levels sigma / alpha between which it is added (S_tmin, S_tmax).
        noise_scale: standard deviation of the added noise (S_noise).
    """

    tableau: ClassVar[Tableau]
    variable: Variable | None = None
    churn: float = 0.0
    churn_min: float = 0.0
    churn_max: float = float("inf")
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        require("churn", self.churn, 0, 1e6, closed=True)
        require("noise_scale", self.noise_scale, 0, 2, closed=True)
        require("churn_min", self.churn_min, 0, self.churn_max, closed=True)

    @property
    def order(self) -> int:
        return self.tableau.order

    @property
    def stochastic(self) -> bool:
        return self.churn > 0

    def nfe(self, steps: int) -> int:
        stages = len(self.tableau.b)
        return stages * steps - (stages - 1 if 1.0 in self.tableau.c else 0)

    def step(self, now: Now, x: Tensor) -> Tensor:
        t = now.t
        if self.churn:
            x, t = self._add_noise(now, x, t)
        no_signal = float(now.scales(t)[0]) == 0
        if no_signal and self.variable == "sigma":
            raise UnsupportedError(
                "variable = 'sigma' is infinite where the grid starts, at alpha = 0: use 'angle', or leave it out"
            )
        if self.variable == "t" and not bool(now.process.schedule.d_alpha(t).isfinite()):
            raise UnsupportedError("variable = 't' has infinite slope where the grid starts: use 'angle', or leave it out")
        variable = self.variable or ("angle" if no_signal else "sigma")
        if float(now.scales(now.s)[1]) == 0 and (1.0 in self.tableau.c or len(self.tableau.b) == 1):
            return combine((now.scales(now.s)[0], now.mean(x, t)))
        return self._integrate(now, x, t, variable)

    def _integrate(self, now: Now, x: Tensor, t: Tensor, variable: Variable) -> Tensor:
        u_t, unit_t = _coordinate(now, t, variable)
        u_s, unit_s = _coordinate(now, now.s, variable)
        slopes: list[Tensor] = []
        for c, row in zip(self.tableau.c, self.tableau.a, strict=True):
            at = t if c == 0 else now.s if c == 1 else _time(now, u_t + c * (u_s - u_t), variable)
            shift = [((u_s - u_t) * weight, slope) for weight, slope in zip(row, slopes, strict=True) if weight]
            unit = _coordinate(now, at, variable)[1]
            stage = combine((unit / unit_t, x), *((unit * h, slope) for h, slope in shift))
            slopes.append(_slope(now, stage, at, variable))
        weights = zip(self.tableau.b, slopes, strict=True)
        final = [(unit_s * (u_s - u_t) * weight, slope) for weight, slope in weights if weight]
        return combine((unit_s / unit_t, x), *final)

    def _add_noise(self, now: Now, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Raise sigma / alpha by the factor 1 + min(churn / steps, √2 - 1), as far as the schedule goes."""
        alpha, sigma = now.scales(t)
        one = torch.ones_like(t)
        ratio, limit = sigma / alpha, now.scales(one)[1] / now.scales(one)[0]
        if not self.churn_min <= float(ratio) <= self.churn_max or not ratio < limit:
            return x, t
        raised = torch.minimum(ratio * (1 + min(self.churn / (now.step + now.left), sqrt(2) - 1)), limit)
        t_raised = now.process.schedule.time_at_ratio(raised)
        alpha_raised = now.scales(t_raised)[0]
        spread = self.noise_scale * (raised**2 - ratio**2).sqrt()
        return combine((alpha_raised / alpha, x), (alpha_raised * spread, now.noise(x))), t_raised


def _coordinate(now: Now, t: Tensor, variable: Variable) -> tuple[Tensor, Tensor]:
    """(u, x / y) at time t."""
    alpha, sigma = now.scales(t)
    match variable:
        case "sigma":
            return sigma / alpha, alpha
        case "angle":
            return torch.atan2(sigma, alpha), torch.hypot(alpha, sigma)
        case "t":
            return t, torch.ones_like(t)


def _time(now: Now, u: Tensor, variable: Variable) -> Tensor:
    if variable == "t":
        return u
    return now.process.schedule.time_at_ratio(u if variable == "sigma" else torch.tan(u))


def _slope(now: Now, x: Tensor, t: Tensor, variable: Variable) -> Tensor:
    """dy/du from one evaluation: (p x0 + q eps), with eps = (x - alpha x0) / sigma put in."""
    alpha, sigma = now.scales(t)
    zero, one, norm = torch.zeros_like(alpha), torch.ones_like(alpha), torch.hypot(alpha, sigma)
    match variable:
        case "sigma":
            p, q = zero, one
        case "angle":
            p, q = -sigma / norm, alpha / norm
        case "t":
            p, q = now.process.schedule.d_alpha(t), now.process.schedule.d_sigma(t)
    return combine((p - q * alpha / sigma, now.mean(x, t)), (q / sigma, x))


class Euler(RungeKutta):
    """First order; along "sigma" it equals DDIM."""

    tableau = Tableau(1, (0.0,), ((),), (1.0,))


class Heun(RungeKutta):
    """Second order, EDM's method."""

    tableau = Tableau(2, (0.0, 1.0), ((), (1.0,)), (0.5, 0.5))


class Midpoint(RungeKutta):
    """Second order, with an evaluation half-way."""

    tableau = Tableau(2, (0.0, 0.5), ((), (0.5,)), (0.0, 1.0))


class RK4(RungeKutta):
    """The classical fourth-order method."""

    tableau = Tableau(4, (0.0, 0.5, 0.5, 1.0), ((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6))
