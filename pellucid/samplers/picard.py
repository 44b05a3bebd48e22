"""Parallel in time by Picard iteration. Shih et al. 2023 (Parallel Sampling of Diffusion Models), algorithm 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from typing import Any

import torch
from torch import Tensor

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.random import Draws
from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean
from pellucid.samplers.sampler import Callback, Now, Past, Progress, Sampler
from pellucid.schedules.schedule import require

Place = tuple[int, int]
"""Of an evaluation in a trajectory: the step, and which of its evaluations."""


@dataclass(frozen=True, kw_only=True)
class Picard(Sampler):
    """The trajectory of another sampler, with a window of its steps evaluated at once.

    Each sweep takes the sampler through the window with the evaluations of the last sweep, then evaluates the denoiser, in
    one batch, wherever that led to. A step is settled when all its evaluations were made where it now asks for them, to
    within the tolerance, and the window moves on to the first that is not. Each sweep settles one evaluation at least, so
    there are never more sweeps than evaluations one after another, and tolerance 0 gives the sampler's own result. Written
    over the evaluations and not over the drift, as the paper has it, this serves multistep methods, methods of several
    evaluations a step, and noise alike.

    It pays where a batch of `window` takes hardly longer than one sample: on a GPU, few samples, many steps. On a CPU a
    batch takes its multiple, and in all more evaluations are made: it is slower there.

    Arguments:
        sampler: the one to run, a registered name or a section with settings.
        window: steps that are evaluated at once.
        tolerance: root mean square by which x may have moved since it was evaluated, in units of hypot(alpha, sigma).

    Raises:
        ConfigError: no such sampler, or one that runs another.
    """

    sampler: str | Mapping[str, Any] = "ddim"
    window: int = 16
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        require("window", self.window, 1, inf, closed=True)
        require("tolerance", self.tolerance, 0, 1, closed=True)
        if isinstance(self.serial, Picard):
            raise ConfigError("sampler.sampler = 'picard': expected a sampler that goes step by step, such as ddim")

    @cached_property
    def serial(self) -> Sampler:
        """The sampler that is run."""
        from pellucid.samplers import samplers

        section = {"name": self.sampler} if isinstance(self.sampler, str) else self.sampler
        sampler: Sampler = build(samplers, section)
        return sampler

    @property
    def order(self) -> int:
        return self.serial.order

    @property
    def whole_order(self) -> float:
        return self.serial.whole_order

    @property
    def memory(self) -> int:
        return self.serial.memory

    @property
    def stochastic(self) -> bool:
        return self.serial.stochastic

    def nfe(self, steps: int) -> int:
        """Evaluations one after another without the window; how many there are with it depends on the denoiser."""
        return self.serial.nfe(steps)

    def check(self, denoiser: Denoiser) -> None:
        self.serial.check(denoiser)

    def step(self, now: Now, x: Tensor) -> Tensor:
        return self.serial.step(now, x)

    def sample(
        self, denoiser: Denoiser, x: Tensor, grid: Tensor, *, draws: Draws | None = None, cond: Cond | None = None,
        callback: Callback | None = None, past: Sequence[Past] = (),
    ) -> Tensor:  # fmt: skip
        self.check(denoiser)
        memory, kept, settled, steps = Remembered(denoiser, self.tolerance), list(past), 0, len(grid) - 1
        with torch.no_grad():
            while settled < steps:
                here, known, holds = x, list(kept), True
                memory.begin(settled)
                for step in range(settled, min(settled + self.window, steps)):
                    memory.turn_to(step)
                    now = Now(memory, cond, draws, grid[step], grid[step + 1], step, steps - step, known)
                    here = self.serial.step(now, here)
                    del known[: max(0, len(known) - self.memory)]
                    if holds := holds and memory.holds(step):
                        x, kept, settled = here, list(known), step + 1
                        if callback is not None:
                            callback(Progress(settled, steps, float(now.s), x, now.latest, memory.nfe))
                memory.evaluate(cond)
        return x


@dataclass(frozen=True)
class Evaluation:
    """The posterior mean x0 at time t, evaluated at x; None if it never was."""

    t: Tensor
    x: Tensor
    x0: Tensor | None = None


class Remembered(Denoiser):
    """A denoiser that answers with the evaluation of the same place in the last sweep, and notes what was asked.

    Where there is none it answers with that of the place before, or with zero.

    Attributes:
        nfe: network calls per sample so far.
    """

    def __init__(self, denoiser: Denoiser, tolerance: float) -> None:
        super().__init__(denoiser.process)
        self.denoiser = denoiser
        self.nfe = 0
        self._tolerance = tolerance
        self._made: dict[Place, Evaluation] = {}
        self._asked: dict[Place, Evaluation] = {}
        self._step = 0
        self._before: Tensor | None = None
        self._answer: Tensor | None = None

    def begin(self, step: int) -> None:
        """A sweep from this step on: of all before it, only the last answer is kept."""
        if settled := [place for place in self._made if place[0] < step]:
            self._before = self._made[max(settled)].x0
        self._made = {place: made for place, made in self._made.items() if place[0] >= step}
        self._answer, self._asked = self._before, {}

    def turn_to(self, step: int) -> None:
        """What is asked next belongs to this step."""
        self._step = step

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:  # noqa: ARG002
        place = (self._step, sum(step == self._step for step, _ in self._asked))
        self._asked[place] = Evaluation(t, x_t)
        if place in self._made:
            self._answer = self._made[place].x0
        return Mean(torch.zeros_like(x_t) if self._answer is None else self._answer)

    def calls(self, t: float, conditional: bool = True) -> int:  # noqa: ARG002
        return 0

    def holds(self, step: int) -> bool:
        """Whether all that was asked in this step had been evaluated there, for every sample."""
        return all(self._near(place) for place in self._asked if place[0] == step)

    def evaluate(self, cond: Cond | None) -> None:
        """What was asked where memory does not hold, in as few batches as there are prices of an evaluation."""
        priced: dict[int, dict[Place, Evaluation]] = {}
        for place, asked in self._asked.items():
            if not self._near(place):
                priced.setdefault(self.denoiser.calls(float(asked.t), cond is not None), {})[place] = asked
        for price, batch in priced.items():
            x = torch.cat([one.x for one in batch.values()])
            t = torch.cat([one.t.expand(len(one.x)) for one in batch.values()])
            repeated = {name: torch.cat([value] * len(batch)) for name, value in cond.items()} if cond else None
            means = self.denoiser(x, t, repeated).mean.chunk(len(batch))
            for (place, one), mean in zip(batch.items(), means, strict=True):
                self._made[place] = replace(one, x0=mean)
            self.nfe += price * len(batch)

    def _near(self, place: Place) -> bool:
        if place not in self._made:
            return False
        x, schedule = self._asked[place].x, self.process.schedule
        scale = torch.hypot(schedule.alpha(self._asked[place].t), schedule.sigma(self._asked[place].t))
        moved = mean_per_sample((x - self._made[place].x) ** 2).sqrt() / scale.to(x)
        return bool((moved <= self._tolerance).all())
