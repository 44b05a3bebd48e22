"""A schedule moved to another resolution. Hoogeboom et al. 2023 (simple diffusion), eq. 3; Esser et al. 2024, eq. 23."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Family, Schedule, require


@dataclass(frozen=True, kw_only=True)
class Shifted(Schedule):
    """The noise-to-signal ratio sigma / alpha of `base` times `shift`, within the same family: log_snr - 2 log(shift).

    Pictures of n times the side need about n times the ratio for the same damage to what is seen.
    In a configuration it is the key `shift` of any schedule.
    """

    base: Schedule
    shift: float

    def __post_init__(self) -> None:
        require("shift", self.shift, 0, 1000)

    @classmethod
    def example(cls) -> Self:
        return cls(base=Rectified(), shift=3.0)

    @property
    def family(self) -> Family:  # type: ignore[override]
        return self.base.family

    @property
    def grid(self) -> str:  # type: ignore[override]
        return self.base.grid

    def _norm(self, alpha: Tensor, sigma: Tensor) -> Tensor:
        """By what (alpha, shift sigma) is divided to stay in the family."""
        match self.family:
            case "variance-preserving":
                return torch.hypot(alpha, sigma)
            case "rectified":
                return alpha + sigma
            case "variance-exploding":
                return alpha

    def _d_norm(self, t: Tensor) -> Tensor:
        alpha, sigma, d_alpha, d_sigma = self._raw(t)
        match self.family:
            case "variance-preserving":
                # alpha d_alpha = -sigma d_sigma in the base; of the two, take the one that is finite at this end
                drift = torch.where(t < 0.5, -alpha * d_alpha, sigma * d_sigma / self.shift**2)
                return (self.shift**2 - 1) * drift / torch.hypot(alpha, sigma)
            case "rectified":
                return d_alpha + d_sigma
            case "variance-exploding":
                return d_alpha

    def _raw(self, t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        base, m = self.base, self.shift
        return base.alpha(t), m * base.sigma(t), base.d_alpha(t), m * base.d_sigma(t)

    def alpha(self, t: Tensor) -> Tensor:
        alpha, sigma, _, _ = self._raw(t)
        return alpha / self._norm(alpha, sigma)

    def sigma(self, t: Tensor) -> Tensor:
        alpha, sigma, _, _ = self._raw(t)
        return sigma / self._norm(alpha, sigma)

    def d_alpha(self, t: Tensor) -> Tensor:
        alpha, sigma, d_alpha, _ = self._raw(t)
        norm = self._norm(alpha, sigma)
        return (d_alpha - alpha / norm * self._d_norm(t)) / norm

    def d_sigma(self, t: Tensor) -> Tensor:
        alpha, sigma, _, d_sigma = self._raw(t)
        norm = self._norm(alpha, sigma)
        return (d_sigma - sigma / norm * self._d_norm(t)) / norm

    def time_at(self, log_snr: Tensor) -> Tensor:
        shift = torch.tensor(self.shift, dtype=torch.float64)
        return self.base.time_at(torch.as_tensor(log_snr, dtype=torch.float64) + 2 * shift.log())
