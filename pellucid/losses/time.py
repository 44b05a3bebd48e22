"""How training draws noise levels: distributions of t, given by their quantile function.

The number behind a draw is keyed by its position in the stream of training samples. Stratified, the positions of a group of
fixed size fall into equal slices of the distribution, one each, which lowers the variance of the loss (Kingma et al. 2021,
VDM, appendix I.1); groups do not depend on how the stream is cut into batches.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import pi

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.random import Key, normal_quantile
from pellucid.schedules.schedule import Schedule, require


@dataclass(frozen=True, kw_only=True)
class Times(ABC):
    """A distribution over (0, 1).

    Arguments:
        stratify: size of a group whose draws fall into equal slices; 1 for independent draws.
    """

    stratify: int = 64

    def __post_init__(self) -> None:
        require("stratify", self.stratify, 1, 65536, closed=True)

    @abstractmethod
    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:
        """The t below which a share u of the draws lies."""

    def draw(self, seed: int, positions: NDArray[np.int64], schedule: Schedule) -> Tensor:
        """Times for these positions in the stream of training samples, (B,), float64."""
        u = Key(seed, "times").uniform(positions)
        slices = torch.from_numpy(positions % self.stratify)
        return self.quantile((slices + u) / self.stratify, schedule)


@dataclass(frozen=True, kw_only=True)
class Uniform(Times):
    """t uniform."""

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:  # noqa: ARG002
        return u


@dataclass(frozen=True, kw_only=True)
class LogitNormal(Times):
    """logit(t) normal. Esser et al. 2024 (Stable Diffusion 3), eq. 19."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("std", self.std, 0, 100)

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:  # noqa: ARG002
        return torch.sigmoid(self.mean + self.std * torch.from_numpy(normal_quantile(u.numpy())))


@dataclass(frozen=True, kw_only=True)
class Mode(Times):
    """t = u + scale (u - sin^2(π u / 2)): most draws in the middle, yet some at both ends. Esser et al. 2024, eq. 20.

    The density is 1 / (1 + scale) at the ends, where that of `LogitNormal` vanishes though every sampler begins and
    finishes there, and 1 / (1 - (π / 2 - 1) scale) in the middle.
    """

    scale: float = 0.8

    def __post_init__(self) -> None:
        super().__post_init__()
        require("scale", self.scale, -1, 2 / (pi - 2))

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:  # noqa: ARG002
        return u + self.scale * (u - torch.sin(pi / 2 * u) ** 2)


@dataclass(frozen=True, kw_only=True)
class LogNormal(Times):
    """log(sigma / alpha) normal, within the schedule's range. Karras et al. 2022, table 1 (P_mean, P_std)."""

    mean: float = -1.2
    std: float = 1.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require("std", self.std, 0, 100)

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:
        return schedule.time_at_ratio(torch.exp(self.mean + self.std * torch.from_numpy(normal_quantile(u.numpy()))))


@dataclass(frozen=True, kw_only=True)
class LogUniform(Times):
    """log(sigma / alpha) uniform from `low` to `high`, within the schedule's range: every scale of the data alike."""

    low: float = 0.001
    high: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require("low", self.low, 0, self.high)

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:
        return schedule.time_at_ratio(self.low * (self.high / self.low) ** u)


@dataclass(frozen=True, kw_only=True)
class Levels(Times):
    """t = 1/T, 2/T, ..., 1, equally often: the times of a denoiser made for T big steps.

    Arguments:
        levels: T.
    """

    levels: int = 4

    def __post_init__(self) -> None:
        super().__post_init__()
        require("levels", self.levels, 1, 65536, closed=True)

    def quantile(self, u: Tensor, schedule: Schedule) -> Tensor:  # noqa: ARG002
        return torch.ceil(u * self.levels).clamp_min(1) / self.levels
