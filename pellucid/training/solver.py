"""A solver learned for one model and a number of steps, the network untouched. Shaul et al. 2024 (BNS), section 3."""

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import product
from math import ceil, cos, pi
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Keyed
from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.losses.pairs import Pairs
from pellucid.model.assemble import guided
from pellucid.model.model import Model
from pellucid.samplers import grids, samplers
from pellucid.samplers.dpmpp import DPMSolver
from pellucid.samplers.learned import as_rows
from pellucid.samplers.sampler import combine

TEACHER, TEACHER_STEPS = "heun", 25
MOST_STEPS = 16
"""With more of them there is little to gain, and a lesson keeps them all in memory."""
ORDERS = (2, 3)
SPACINGS: list[dict[str, Any]] = [
    {"name": "uniform"}, {"name": "quadratic"},
    *({"name": name, "sigma_min": low} for name in ("karras", "log_snr") for low in (0.002, 0.02, 0.1)),
]  # fmt: skip
"""DPM-Solver++ of these orders on these grids: the nearest to the teacher is where learning starts from."""
FIRST = 2**40
"""Number of the first noise: no sampling that a user asks for comes so far."""
BATCH, RATE, WARMUP, CHECKED = 16, 0.01, 10, 20
BETAS = (0.9, 0.99)
CHUNK = 64


@dataclass(frozen=True, kw_only=True)
class Solved:
    """What came out: the sections of the model's configuration, and root mean squares of the distance to the teacher's
    samples from noise that was not learned from, in the space in which is diffused.

    Attributes:
        beginning: name of the sampler and grid that learning started from.
        before, after: the distance at the beginning and at the end.
    """

    sections: dict[str, dict[str, Any]]
    beginning: str
    before: float
    after: float
    seconds: float


class Solver(nn.Module):
    """Rows and times of a solver, as parameters: differences to `rows`, zero at the start, and the logarithms of gaps."""

    rows: Tensor

    def __init__(self, rows: Tensor, times: Tensor, *, movable: bool) -> None:
        super().__init__()
        self.register_buffer("rows", rows)
        self.change = nn.Parameter(torch.zeros_like(rows))
        self.gaps = nn.Parameter((times[:-1] - times[1:]).log(), requires_grad=movable)

    def times(self) -> Tensor:
        """n times from 1 down, all above 0."""
        return torch.cat([torch.ones(1, dtype=torch.float64), 1 - self.gaps.softmax(0).cumsum(0)[:-1]])

    def all_rows(self) -> Tensor:
        """(n, n + 1), zero beyond the diagonal."""
        return self.rows + self.change.tril(1)

    def forward(self, denoiser: Denoiser, x: Tensor, cond: Cond | None) -> Tensor:
        """Samples from the noise x."""
        times, means, state = self.times(), list[Tensor](), x
        for step, row in enumerate(self.all_rows()):
            means.append(denoiser(state, times[step], cond).mean)
            state = combine((row[0], x), *zip(row[1 : step + 2], means, strict=True))
        return state


def learn_solver(
    model: Model, steps: int, *, pairs: int = 256, checks: int = 64, lessons: int = 300, seed: int = 0,
    prompts: Sequence[str] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Solved:  # fmt: skip
    """Learn a solver of so many steps, a network call each, from samples of Heun's method in 25 steps of 2 calls.

    Minimised is the mean logarithm of the squared distance between the two, from the same noise, through all steps at once.

    Arguments:
        pairs, checks: samples of the teacher to learn from, and those on which is measured what was learned.
        lessons: steps of Adam, 16 pairs each.
        prompts: what to ask for, in turn, of a model that reads captions.
        progress: called with (done, in all), in lessons or as much work.

    Raises:
        ConfigError: a number of steps out of range, or prompts that cannot be read.
        UnsupportedError: the process is not Gaussian.
    """
    if not 2 <= steps <= MOST_STEPS:
        raise ConfigError(f"steps = {steps}: expected 2 to {MOST_STEPS}, for which a solver can be learned")
    if not model.denoiser.process.gaussian:
        raise UnsupportedError("Solvers are learned for Gaussian noise only: this model adds another kind")
    began, count = perf_counter(), pairs + checks
    chunk = max(1, CHUNK * (2 * TEACHER_STEPS - 1) // (3 * BATCH * steps))
    done, total = 0, lessons + chunk * ceil(count / CHUNK)

    def tell(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    denoiser = as_sampled(model, asked=bool(model.facts.labels or prompts))
    known = _pairs(model, denoiser, count, seed, prompts, lambda: tell(chunk))
    (name, solver), before = _begin(denoiser, steps, known[pairs:])
    order = torch.Generator().manual_seed(seed)
    shown = (known[torch.randint(pairs, (BATCH,), generator=order)] for _ in range(lessons))
    after = _learn(solver, denoiser, shown, lessons, known[pairs:], lambda: tell(1))
    rows = [row[: step + 2].tolist() for step, row in enumerate(solver.all_rows())]
    sections = {"sampler": {"name": "learned", "rows": rows}, "grid": {"name": "listed", "at": solver.times().tolist()}}
    return Solved(sections=sections, beginning=name, before=before, after=after, seconds=perf_counter() - began)


def _learn(
    solver: Solver, denoiser: Denoiser, shown: Iterable[Pairs], lessons: int, check: Pairs, tell: Callable[[], None]
) -> float:
    """Teach, keep what came nearest to the teacher on the way, and return its distance."""
    best, nearest = deepcopy(solver.state_dict()), _away(solver, denoiser, check)
    optimiser = torch.optim.Adam([one for one in solver.parameters() if one.requires_grad], lr=RATE, betas=BETAS)
    for lesson, part in enumerate(shown):
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, (lesson + 1) / WARMUP) * (1 + cos(pi * lesson / lessons)) / 2
        optimiser.zero_grad()
        loss: Any = mean_per_sample((solver(denoiser, part.x, part.cond or None) - part.made) ** 2).log().mean()
        loss.backward()
        optimiser.step()
        last = lesson + 1 == lessons
        if (last or (lesson + 1) % CHECKED == 0) and (away := _away(solver, denoiser, check)) < nearest:
            best, nearest = deepcopy(solver.state_dict()), away
        tell()
    solver.load_state_dict(best)
    return nearest


def as_sampled(model: Model, *, asked: bool) -> Denoiser:
    """The denoiser as the model samples by default, whose weights stay; `asked`: for labels or captions."""
    return guided(model.denoiser.requires_grad_(False), model.sampling(guidance=None if asked else 1.0), model.weak)


def _pairs(
    model: Model, denoiser: Denoiser, count: int, seed: int, prompts: Sequence[str] | None, tell: Callable[[], None]
) -> Pairs:
    x = model.first(Keyed(seed, range(FIRST, FIRST + count)), torch.ones((), dtype=torch.float64))
    cond = model.condition(count, label="all" if model.facts.labels else None, caption=list(prompts) if prompts else None)
    process = model.denoiser.process
    grid = process.snap(build(grids, {"name": process.schedule.grid})(process.schedule, TEACHER_STEPS))
    made = []
    for first in range(0, count, CHUNK):
        part = Pairs(x, cond, x)[first : first + CHUNK]
        made.append(samplers[TEACHER]().sample(denoiser, part.x, grid, cond=part.cond or None))
        tell()
    return Pairs(x, cond, torch.cat(made))


def _begin(denoiser: Denoiser, steps: int, check: Pairs) -> tuple[tuple[str, Solver], float]:
    """The solver among those known that comes nearest to the teacher, and its distance."""
    process, found = denoiser.process, []
    for order, spacing in product(ORDERS, SPACINGS):
        plain = build(grids, spacing)(process.schedule, steps)
        grid = process.snap(plain)
        if len(torch.unique(grid)) == len(grid):
            rows = as_rows(DPMSolver(order=order), process, grid)
            solver = Solver(rows, grid, movable=torch.equal(plain, grid))
            found.append(((f"dpmpp of order {order}, {spacing['name']} grid", solver), _away(solver, denoiser, check)))
    return min(found, key=lambda one: one[1])


@torch.no_grad()
def _away(solver: Solver, denoiser: Denoiser, check: Pairs) -> float:
    """Root mean square of the distance to the teacher's samples, the mean over samples."""
    parts = [check[first : first + CHUNK] for first in range(0, len(check.x), CHUNK)]
    away = [mean_per_sample((solver(denoiser, part.x, part.cond or None) - part.made) ** 2).sqrt() for part in parts]
    return float(torch.cat(away).mean())
