"""Processes of values: x_t from clean data and noise, the prior at t = 1, and q(x_s | x_t, x0).

    x_t = alpha_t x0 + sigma_t eps,    eps = process.noise(...), of mean 0 and variance 1 at every t

A process whose noise is not Gaussian differs in how `noise` is drawn, not in the formula.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.core.random import Draws
from pellucid.core.shapes import expand
from pellucid.processes.process import Process
from pellucid.schedules.schedule import Schedule

WIDEST_DATA = 1.0
"""Largest alpha_1 std(data) / sigma_1 that a prior is corrected for; beyond it the chain is refused."""


@dataclass(frozen=True, kw_only=True)
class Continuous(Process):
    """Corruption of values along a schedule. `noise` has mean 0 and variance 1."""

    @abstractmethod
    def fresh_noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Noise for one step of a sampler, of the kind of a single increment, variance 1."""

    def scales(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t), broadcastable to `like`, in its dtype and on its device."""
        t = expand(torch.as_tensor(t, dtype=torch.float64), like)
        return self.schedule.alpha(t).to(like), self.schedule.sigma(t).to(like)

    def corrupt(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """x_t = alpha_t x0 + sigma_t eps."""
        alpha_t, sigma_t = self.scales(t, x0)
        return alpha_t * x0 + sigma_t * eps.to(x0)

    def prior(self, eps: Tensor, *, mean: float = 0.0, std: float = 0.0) -> Tensor:
        """A draw of x_1 from noise of variance 1, for data of the given mean and standard deviation.

        The spread that the data still has at t = 1 is added to that of the noise, so a prior slightly too narrow is
        corrected: N(alpha_1 mean, sigma_1^2 + alpha_1^2 std^2).
        """
        one = torch.ones((), dtype=torch.float64)
        alpha_1, sigma_1 = float(self.schedule.alpha(one)), float(self.schedule.sigma(one))
        return alpha_1 * mean + hypot(sigma_1, alpha_1 * std) * eps

    def check_prior(self, std: float) -> float:
        """alpha_1 std / sigma_1: how wide the data still is beside the noise at t = 1. 0 is ideal.

        Raises:
            ConfigError: the data is wider than the noise; then no prior that ignores the data can be right.
        """
        one = torch.ones((), dtype=torch.float64)
        alpha_1, sigma_1 = float(self.schedule.alpha(one)), float(self.schedule.sigma(one))
        width = alpha_1 * std / sigma_1
        if width > WIDEST_DATA:
            raise ConfigError(
                f"The prior is too narrow for the data: at t = 1 the noise has standard deviation {sigma_1:.3g}, what is "
                f"left of the data {alpha_1 * std:.3g}. Raise the noise (sigma_max, increment_0 or tau) until sigma_1 is "
                f"at least {10 * alpha_1 * std:.3g}"
            )
        return width

    def posterior(self, x_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of q(x_s | x_t, x0), s < t. The Gaussian of Kingma et al. 2021 (VDM), appendix A.

            alpha_{t|s} = alpha_t / alpha_s,   sigma_{t|s}^2 = sigma_t^2 - alpha_{t|s}^2 sigma_s^2
            mean = alpha_{t|s} sigma_s^2 / sigma_t^2 x_t + alpha_s sigma_{t|s}^2 / sigma_t^2 x0
            std  = sigma_{t|s} sigma_s / sigma_t

        For noise that is not Gaussian these are the best linear mean and its deviation, exact in the limit of small steps.
        """
        keep, pull, std = posterior_coefficients(self.schedule, expand(t, x_t), expand(s, x_t))
        return keep.to(x_t) * x_t + pull.to(x_t) * x0, std.to(x_t)


def posterior_coefficients(schedule: Schedule, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of x_t and x0 in the mean of q(x_s | x_t, x0), and its standard deviation, in float64."""
    alpha_t, sigma_t, alpha_s, sigma_s = schedule.alpha(t), schedule.sigma(t), schedule.alpha(s), schedule.sigma(s)
    alpha_ts = alpha_t / alpha_s
    new = 1 - (alpha_ts * sigma_s / sigma_t) ** 2  # share of the variance at t that came after s
    return alpha_ts * (sigma_s / sigma_t) ** 2, alpha_s * new, sigma_s * new.sqrt()
