"""Solvers whose coefficients are learned for one model. Shaul et al. 2024 (Bespoke Non-Stationary Solvers), eq. 6."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean
from pellucid.processes.process import Process
from pellucid.samplers.sampler import Now, Past, Sampler, combine


@dataclass(frozen=True, kw_only=True)
class Learned(Sampler):
    """x_{k+1} = a_k x_0 + sum_{j <= k} b_kj D_j

    with x_0 the state that sampling starts from and D_j = E[x0 | x_j], evaluated at the grid's time j. Every explicit method
    of one evaluation a step is of this form, DPM-Solver++ and Adams-Bashforth among them; `training.solver` starts from one
    of them and learns rows and grid together for a number of steps.

    Arguments:
        rows: (a_k, b_k0, .., b_kk) of step k: n rows of 2, 3, .., n + 1 numbers.

    Raises:
        ConfigError: rows of other lengths.
    """

    rows: Sequence[Sequence[float]]

    def __post_init__(self) -> None:
        lengths = [len(row) for row in self.rows]
        if not lengths or lengths != list(range(2, len(lengths) + 2)):
            raise ConfigError(f"rows of {lengths} numbers: expected rows of 2, 3, 4 and so on, one for each step")

    @classmethod
    def example(cls) -> Self:
        return cls(rows=[[0.5, 0.5], [0.25, 0.25, 0.5], [0.0, 0.0, 0.0, 1.0]])

    @property
    def memory(self) -> int:
        return len(self.rows)

    def step(self, now: Now, x: Tensor) -> Tensor:
        if now.step + now.left != len(self.rows):
            raise UnsupportedError(f"This solver was learned for {len(self.rows)} steps, not for {now.step + now.left}")
        now.past.append(Past(now.t, x, now.mean(x, now.t)))
        start, *shares = self.rows[now.step]
        return combine((start, now.past[0].x), *((share, old.x0) for share, old in zip(shares, now.past, strict=True)))


def as_rows(sampler: Sampler, process: Process, grid: Tensor) -> Tensor:
    """The rows of a deterministic sampler with one evaluation a step on a grid of n steps, (n, n + 1).

    It is run on symbols: its state is the combination of x_0 and the D_j that it is so far.
    """
    states: list[Tensor] = []
    x = torch.zeros(1, len(grid), dtype=torch.float64)
    x[0, 0] = 1
    sampler.sample(_Symbols(process), x, grid, callback=lambda now: states.append(now.x[0]))
    return torch.stack(states)


class _Symbols(Denoiser):
    """The j-th evaluation is the symbol of D_j."""

    def __init__(self, process: Process) -> None:
        super().__init__(process)
        self._evaluations = 0

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:  # noqa: ARG002
        self._evaluations += 1
        mean = torch.zeros_like(x_t)
        mean[:, self._evaluations] = 1
        return Mean(mean)
