"""What a sampler of values does, of any kind: at which states it asks the denoiser, and what it makes of the answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior
from pellucid.processes.process import Process
from pellucid.samplers.picard import Picard
from pellucid.samplers.sampler import Sampler

MOST = 4
"""Evaluations in a step: those of the classical Runge-Kutta method."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """D_j = D(rows_j · known, t_j) for j = 0 .. n - 1, and in the end last · known

    where known are m noises, the state that sampling starts from being the first, and D_0 .. D_{n-1}. Every sampler of
    values is of this form, since each of its states is a combination of what it has seen; see `samplers.Learned` for those
    of one evaluation a step and no noise.

    Attributes:
        times: (n,), float64.
        rows: (n, m + n), 0 of what is not known yet.
        last: (m + n,).
        noises: what the noises after the first are drawn for, and at which step.
        steps: the step of each evaluation.
    """

    times: Tensor
    rows: Tensor
    last: Tensor
    noises: tuple[tuple[str, int], ...]
    steps: tuple[int, ...]

    @classmethod
    def of(cls, sampler: Sampler, process: Process, times: Tensor) -> Self:
        """The plan that a sampler follows along a grid of times: it is run on symbols, its states being rows of shares.

        Raises:
            UnsupportedError: what it does depends on what the denoiser answers.
        """
        if isinstance(sampler, Picard):
            raise UnsupportedError("Sampler Picard runs the steps of another at once, until they agree: name that one")
        symbols = _Symbols(process, len(times) - 1)
        x = symbols.share(0)
        x = sampler.sample(symbols, x, times, draws=symbols, callback=lambda _: symbols.done())
        m, n = 1 + len(symbols.noises), len(symbols.times)
        kept = [*range(m), *range(symbols.first, symbols.first + n)]
        return cls(
            times=torch.stack(symbols.times), rows=torch.cat(symbols.rows)[:, kept], last=x[0, kept],
            noises=tuple(symbols.noises), steps=tuple(symbols.steps),
        )  # fmt: skip


class _Symbols(Denoiser):
    """Each answer, and each noise, is a symbol of its own."""

    offers = frozenset({"mean", "sample"})

    def __init__(self, process: Process, steps: int) -> None:
        super().__init__(process)
        self.first, self.step = 1 + steps, 0
        self.width = self.first + MOST * steps
        self.times: list[Tensor] = []
        self.rows: list[Tensor] = []
        self.steps: list[int] = []
        self.noises: list[tuple[str, int]] = []

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "_Symbol":  # noqa: ARG002
        self.times.append(t)
        self.rows.append(x_t)
        self.steps.append(self.step)
        return _Symbol(self.share(self.first + len(self.times) - 1))

    def done(self) -> None:
        """A step is."""
        self.step += 1

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        self.noises.append((purpose, step))
        return self.share(len(self.noises))

    uniform = normal

    def share(self, place: int) -> Tensor:
        """(1, width), one of a symbol and nothing else."""
        row = torch.zeros(1, self.width, dtype=torch.float64)
        row[0, place] = 1
        return row


@dataclass(frozen=True)
class _Symbol(Posterior):
    row: Tensor = field()

    @property
    def mean(self) -> Tensor:
        return self.row

    def sample(self, draws: Draws, step: int) -> Tensor:  # noqa: ARG002
        return self.row
