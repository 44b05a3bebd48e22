"""Grids: the times t_0 = 1 > t_1 > ... > t_n = 0 at which a sampler of n steps stops, float64."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.schedules.schedule import Schedule, require
from pellucid.schedules.table import Table


@dataclass(frozen=True, kw_only=True)
class Grid(ABC):
    """`grid(schedule, steps)` -> (steps + 1,) times, strictly falling from 1 to 0."""

    def __call__(self, schedule: Schedule, steps: int) -> Tensor:
        if steps < 1 or steps != int(steps):
            raise ConfigError(f"steps = {steps} is out of range: allowed is a whole number from 1")
        inner = self.times(schedule, steps)[1:]
        return torch.cat([torch.ones(1, dtype=torch.float64), inner, torch.zeros(1, dtype=torch.float64)])

    @abstractmethod
    def times(self, schedule: Schedule, steps: int) -> Tensor:
        """The first `steps` times, from 1 down, without the final 0."""


@dataclass(frozen=True, kw_only=True)
class Uniform(Grid):
    """t_i = 1 - i / n."""

    def times(self, schedule: Schedule, steps: int) -> Tensor:  # noqa: ARG002
        return 1 - torch.arange(steps, dtype=torch.float64) / steps


@dataclass(frozen=True, kw_only=True)
class Quadratic(Grid):
    """t_i = (1 - i / n)^2: small steps near the data. Song et al. 2021 (DDIM), appendix D.2."""

    def times(self, schedule: Schedule, steps: int) -> Tensor:  # noqa: ARG002
        return (1 - torch.arange(steps, dtype=torch.float64) / steps) ** 2


@dataclass(frozen=True, kw_only=True)
class Karras(Grid):
    """sigma / alpha from sigma_max to sigma_min, uniform in its power 1 / rho, then 0. Karras et al. 2022, eq. 5.

    Limits are in units of the data and give way to those of the schedule. The first time is always t = 1.
    """

    sigma_min: float = 0.002
    sigma_max: float = 80.0
    rho: float = 7.0

    def __post_init__(self) -> None:
        require("rho", self.rho, 0, 100)
        require("sigma_min", self.sigma_min, 0, self.sigma_max)

    def times(self, schedule: Schedule, steps: int) -> Tensor:
        high, low = _ratio_limits(schedule, self.sigma_min, self.sigma_max)
        ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
        return schedule.time_at_ratio((high ** (1 / self.rho) * (1 - ramp) + low ** (1 / self.rho) * ramp) ** self.rho)


@dataclass(frozen=True, kw_only=True)
class LogSNR(Grid):
    """Uniform in log-SNR between two noise levels, then 0. Lu et al. 2022 (DPM-Solver), section 3.3."""

    sigma_min: float = 0.002
    sigma_max: float = 80.0

    def __post_init__(self) -> None:
        require("sigma_min", self.sigma_min, 0, self.sigma_max)

    def times(self, schedule: Schedule, steps: int) -> Tensor:
        high, low = _ratio_limits(schedule, self.sigma_min, self.sigma_max)
        ramp = torch.linspace(0, 1, steps, dtype=torch.float64)
        return schedule.time_at_ratio(high ** (1 - ramp) * low**ramp)


@dataclass(frozen=True, kw_only=True)
class TableGrid(Grid):
    """A subset of the steps of a table, by the conventions of published models. Lin et al. 2024, table 2.

        leading:   k = i floor(T / n) + offset
        trailing:  k = round(T - i T / n) - 1
        linspace:  k = T - 1 .. 0, equally spaced and rounded

    Arguments:
        spacing: the convention.
        offset: added to the step numbers of "leading"; Stable Diffusion has 1.
        to_data: whether the last step goes down to clean data. If not, the grid ends at the table's first step, with the
            little noise that is there; where that is a step of the grid already, there are n - 1 steps. In diffusers
            `set_alpha_to_one` and `final_sigmas_type`.
        skip_last: lay n + 1 steps and leave the last out, as DPM-Solver and UniPC do in diffusers for "leading" and
            "linspace".
    """

    spacing: Literal["leading", "trailing", "linspace"] = "leading"
    offset: int = 0
    to_data: bool = True
    skip_last: bool = False

    def __call__(self, schedule: Schedule, steps: int) -> Tensor:
        times = self.times(schedule, steps)
        if self.to_data:
            return torch.cat([times, torch.zeros(1, dtype=torch.float64)])
        assert isinstance(schedule, Table)
        end = torch.tensor([1 / schedule.steps], dtype=torch.float64)
        return torch.cat([times[times > end], end])

    def times(self, schedule: Schedule, steps: int) -> Tensor:
        if not isinstance(schedule, Table):
            raise UnsupportedError(f"The table grid needs a table schedule, not {type(schedule).__name__}: try 'uniform'")
        require("steps", steps, 1, schedule.steps - self.skip_last, closed=True)
        if self.skip_last:
            return self._times(schedule.steps, steps + 1)[:-1]
        return self._times(schedule.steps, steps)

    def _times(self, total: int, steps: int) -> Tensor:
        match self.spacing:
            case "leading":
                index = torch.arange(steps - 1, -1, -1) * (total // steps) + self.offset
                require("offset", self.offset, 0, total - 1 - (steps - 1) * (total // steps), closed=True)
            case "trailing":
                index = torch.round(total - torch.arange(steps, dtype=torch.float64) * total / steps) - 1
            case "linspace":
                index = torch.round(torch.linspace(total - 1, 0, steps, dtype=torch.float64))
        return (index + 1).double() / total


@dataclass(frozen=True, kw_only=True)
class Listed(Grid):
    """Times as they are given, for as many steps as there are.

    Arguments:
        at: from 1 down, without the final 0.
    """

    at: Sequence[float]

    def __post_init__(self) -> None:
        if not self.at or self.at[0] != 1 or any(not 0 < s < t for t, s in pairwise(self.at)):
            raise ConfigError(f"times {list(self.at)}: expected them to fall from 1, all above 0")

    def times(self, schedule: Schedule, steps: int) -> Tensor:  # noqa: ARG002
        if steps != len(self.at):
            raise UnsupportedError(f"These times are for {len(self.at)} steps, not for {steps}")
        return torch.tensor(self.at, dtype=torch.float64)


def _ratio_limits(schedule: Schedule, low: float, high: float) -> tuple[float, float]:
    """(highest, lowest) sigma / alpha, within what the schedule reaches."""
    one = torch.ones((), dtype=torch.float64)
    reach = float(schedule.sigma(one) / schedule.alpha(one))
    return min(high, reach), min(low, reach / 2)
