"""A published table of noise levels, step for step, interpolated in log-SNR between the steps.

Step k = 0 .. T - 1 of a table of T stands at t = (k + 1) / T; t = 0 is clean data. Between the steps log-SNR is linear in
t. Below the first step, where it runs to infinity, sigma / alpha grows like the square root of t; and if the table ends
at zero terminal SNR, alpha / sigma falls linearly to 0 over the last step.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.schedules.schedule import Family, Schedule, require


@dataclass(frozen=True, kw_only=True)
class Stepped(Schedule):
    """Variance-preserving schedule through log(sigma / alpha) at t = 1/T .. 1, which a subclass names."""

    family: ClassVar[Family] = "variance-preserving"

    @cached_property
    @abstractmethod
    def log_ratios(self) -> Tensor:
        """log(sigma / alpha) at t = 1/T .. 1, (T,), strictly rising; the last may be infinite."""

    @property
    def steps(self) -> int:
        """T, the number of steps in the table."""
        return len(self.log_ratios)

    def _log_ratio(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """log(sigma / alpha) at t and its derivative."""
        values, place = self.log_ratios, t * self.steps - 1
        index = place.floor().clamp(0, self.steps - 2).long()
        low, high = values[index], values[index + 1]
        part, last = place - index, high == inf
        rise = torch.where(last, 0.0, high - low)
        log_ratio = low + part * rise - torch.where(last, torch.log1p(-part), 0.0)
        slope = self.steps * torch.where(last, 1 / (1 - part), rise)
        early = place < 0
        return torch.where(early, values[0] + (t * self.steps).log() / 2, log_ratio), torch.where(early, 0.5 / t, slope)

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sigmoid(-2 * self._log_ratio(t)[0]).sqrt()

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sigmoid(2 * self._log_ratio(t)[0]).sqrt()

    def d_alpha(self, t: Tensor) -> Tensor:
        slope = -self.alpha(t) * self.sigma(t) ** 2 * self._log_ratio(t)[1]
        slope = torch.where(t == 0, -self.steps / 2 * torch.exp(2 * self.log_ratios[0]), slope)
        return torch.where((t == 1) & self.zero_terminal_snr, -self.steps * torch.exp(-self.log_ratios[-2]), slope)

    def d_sigma(self, t: Tensor) -> Tensor:
        slope = self.alpha(t) ** 2 * self.sigma(t) * self._log_ratio(t)[1]
        return torch.where(t == 0, inf, torch.where((t == 1) & self.zero_terminal_snr, 0.0, slope))


@dataclass(frozen=True, kw_only=True)
class Table(Stepped):
    """Variance-preserving schedule through alpha_k^2 = prod_{j <= k} (1 - beta_j).

    Arguments:
        alphas_cumprod: alpha_k^2 for each step: within [0, 1), strictly falling; only the last may be 0.
    """

    alphas_cumprod: Sequence[float]

    def __post_init__(self) -> None:
        values = torch.tensor(self.alphas_cumprod, dtype=torch.float64)
        if len(values) < 2 or not bool((values.diff() < 0).all() and values[0] < 1 and values[-1] >= 0):
            raise ConfigError(
                "alphas_cumprod must be at least 2 numbers, strictly falling, the first below 1 and the last at least 0"
            )

    @classmethod
    def from_betas(
        cls,
        kind: Literal["linear", "scaled_linear"] = "linear",
        *,
        steps: int = 1000,
        start: float = 1e-4,
        end: float = 0.02,
        zero_terminal_snr: bool = False,
    ) -> Self:
        """The tables of DDPM and Stable Diffusion; `zero_terminal_snr` rescales as Lin et al. 2024, algorithm 1."""
        require("start", start, 0, end)
        require("end", end, start, 1)
        root = 0.5 if kind == "scaled_linear" else 1.0
        betas = torch.linspace(start**root, end**root, steps, dtype=torch.float64) ** (1 / root)
        alpha = torch.cumprod(1 - betas, 0).sqrt()
        if zero_terminal_snr:
            alpha = (alpha - alpha[-1]) * (alpha[0] / (alpha[0] - alpha[-1]))
        return cls(alphas_cumprod=tuple((alpha**2).tolist()))

    @classmethod
    def example(cls) -> Self:
        return cls.from_betas(steps=50, end=0.2, zero_terminal_snr=True)

    @cached_property
    def log_ratios(self) -> Tensor:
        squares = torch.tensor(self.alphas_cumprod, dtype=torch.float64)
        return (torch.log1p(-squares) - squares.log()) / 2
