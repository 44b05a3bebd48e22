"""A schedule that was learned: log-SNR through given values, which a run with adaptive times leaves in its card."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.schedules.table import Stepped


@dataclass(frozen=True, kw_only=True)
class Learned(Stepped):
    """log_snr = knots[k - 1] at t = k / T, linear between, variance-preserving; ends as those of a table.

    Uniform times on it are the adaptive times that it was learned from, and a uniform grid has its steps where losses are
    large: the schedule of least variance of Kingma et al. 2021 (VDM), section 5.1, measured instead of descended to.

    Arguments:
        knots: T numbers, strictly falling; the last may be -inf.
    """

    knots: Sequence[float]

    def __post_init__(self) -> None:
        values = torch.tensor(self.knots, dtype=torch.float64)
        if len(values) < 2 or not bool((values.diff() < 0).all() and values[:-1].isfinite().all()):
            raise ConfigError("knots must be at least 2 values of log-SNR, strictly falling, from data to noise")

    @classmethod
    def example(cls) -> Self:
        return cls(knots=(6.0, 4.0, 3.5, 1.0, -2.0, -2.5, -9.0))

    @cached_property
    def log_ratios(self) -> Tensor:
        return -torch.tensor(self.knots, dtype=torch.float64) / 2
