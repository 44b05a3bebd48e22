"""The sigmoid schedule. Jabri et al. 2022; Chen 2023 ("On the importance of noise scheduling"), algorithm 1."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from pellucid.schedules.schedule import Family, Schedule, require


@dataclass(frozen=True, kw_only=True)
class Sigmoid(Schedule):
    """alpha_t^2 = (S(b) - S(z_t)) / (S(b) - S(a)), z_t from a = start / tau to b = end / tau, S the logistic function.

    Variance-preserving, zero terminal SNR. Larger `tau` approaches alpha^2 = 1 - t.
    """

    family: ClassVar[Family] = "variance-preserving"
    start: float = -3.0
    end: float = 3.0
    tau: float = 1.0

    def __post_init__(self) -> None:
        require("tau", self.tau, 0, 100)
        require("start", self.start, -20 * self.tau, self.end)
        require("end", self.end, self.start, 20 * self.tau)

    def _rise(self, low: Tensor | float, width: Tensor | float) -> Tensor:
        """S(low + width) - S(low) without cancellation."""
        low, width = torch.as_tensor(low, dtype=torch.float64), torch.as_tensor(width, dtype=torch.float64)
        return torch.sinh(width / 2) / (2 * torch.cosh(low / 2) * torch.cosh((low + width) / 2))

    @property
    def _width(self) -> float:
        return (self.end - self.start) / self.tau

    def _z(self, t: Tensor) -> Tensor:
        return self.start / self.tau + t * self._width

    def _total(self) -> Tensor:
        return self._rise(self.start / self.tau, self._width)

    def _slope(self, t: Tensor) -> Tensor:
        """d sigma^2 / dt."""
        return self._width / (4 * torch.cosh(self._z(t) / 2) ** 2) / self._total()

    def alpha(self, t: Tensor) -> Tensor:
        return torch.sqrt(self._rise(self._z(t), (1 - t) * self._width) / self._total())

    def sigma(self, t: Tensor) -> Tensor:
        return torch.sqrt(self._rise(self.start / self.tau, t * self._width) / self._total())

    def d_alpha(self, t: Tensor) -> Tensor:
        return -self._slope(t) / (2 * self.alpha(t))

    def d_sigma(self, t: Tensor) -> Tensor:
        return self._slope(t) / (2 * self.sigma(t))
