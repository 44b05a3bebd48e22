"""The one loop that all samplers share.

A sampler is `step`: from x at time t to x at time s, one interval of the grid. It sees the denoiser, the noise source and
the evaluations of earlier steps through `Now`, and nothing else; guidance is inside the denoiser. Coefficients are float64.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Categories
from pellucid.processes.continuous import Continuous
from pellucid.processes.process import Process

NEEDED = {"mean": "a mean", "sample": "a sample", "logits": "the logits"}
Callback = Callable[["Progress"], None]
"""Called after every step."""


@dataclass(frozen=True)
class Past:
    """One evaluation: at time t, of the state x, with the posterior mean x0."""

    t: Tensor
    x: Tensor
    x0: Tensor


@dataclass(frozen=True)
class Progress:
    """What a callback sees: `step` of `steps` done, the state x at time t, the latest x0, network calls per sample."""

    step: int
    steps: int
    t: float
    x: Tensor
    x0: Tensor | None
    nfe: int


@dataclass
class Now:
    """Everything a step may use.

    Attributes:
        t, s: the interval's ends, 0-d float64, s < t.
        past: earlier evaluations, newest last, as many as the sampler asked to keep.
        left: steps still to go, this one included.
    """

    denoiser: Denoiser
    cond: Cond | None
    draws: Draws | None
    t: Tensor
    s: Tensor
    step: int
    left: int
    past: list[Past] = field(default_factory=list)
    nfe: int = 0
    latest: Tensor | None = None

    @property
    def process(self) -> Process:
        return self.denoiser.process

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t), 0-d float64."""
        return self.process.schedule.alpha(t), self.process.schedule.sigma(t)

    def mean(self, x: Tensor, t: Tensor) -> Tensor:
        """E[x0 | x_t = x]: one evaluation of the denoiser."""
        self.nfe += self.denoiser.calls(float(t), self.cond is not None)
        self.latest = self.denoiser(x, t, self.cond).mean
        return self.latest

    def categories(self, x: Tensor, t: Tensor) -> Categories:
        """p(x0 | x_t = x) of tokens: one evaluation of the denoiser."""
        self.nfe += self.denoiser.calls(float(t), self.cond is not None)
        found: Categories = self.denoiser(x, t, self.cond)
        return found

    def sample(self, x: Tensor, t: Tensor) -> Tensor:
        """A draw from p(x0 | x_t = x): one evaluation of the denoiser."""
        self.nfe += self.denoiser.calls(float(t), self.cond is not None)
        self.latest = self.denoiser(x, t, self.cond).sample(self.source, self.step)
        return self.latest

    @property
    def source(self) -> Draws:
        if self.draws is None:
            raise UnsupportedError("This sampler injects noise and needs a source of it: pass draws")
        return self.draws

    def noise(self, like: Tensor) -> Tensor:
        """Fresh noise of the process's kind, variance 1."""
        return Continuous.of(self.process).fresh_noise(self.source, "sampler", self.step, like.shape[1:]).to(like)


@dataclass(frozen=True, kw_only=True)
class Sampler(ABC):
    """`sampler.sample(denoiser, x, grid)` carries x from grid[0] to grid[-1]."""

    needs: ClassVar[str] = "mean"
    assumes_gaussian: ClassVar[bool] = True

    @abstractmethod
    def step(self, now: Now, x: Tensor) -> Tensor:
        """x at time now.t -> x at time now.s."""

    @property
    def order(self) -> int:
        """Order of convergence inside the noise range, with exact start values: error ~ (step size)^order.

        For a sampler that injects noise this is the weak order, of means and covariances.
        """
        return 1

    @property
    def whole_order(self) -> float:
        """Order from t = 1 to t = 0 with the sampler's own first and last steps, on a uniform grid."""
        return min(self.order, 2)

    @property
    def memory(self) -> int:
        """How many earlier evaluations a step uses."""
        return 0

    @property
    def stochastic(self) -> bool:
        """Whether it injects noise."""
        return False

    def nfe(self, steps: int) -> int:
        """Denoiser evaluations for this many steps ending at t = 0."""
        return steps

    @classmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""
        return cls()

    def check(self, denoiser: Denoiser) -> None:
        """Refuse a denoiser or process that this sampler is not valid for, saying why and what is."""
        name, process = type(self).__name__, denoiser.process
        if self.needs not in denoiser.offers:
            offered = ", ".join(sorted(denoiser.offers))
            why = "Re-noising a mean is not a sample; use ddim, heun or dpmpp with this denoiser"
            if "logits" in denoiser.offers:
                why = "Tokens have no mean; use reveal or tokens with this denoiser"
            raise UnsupportedError(
                f"Sampler {name} needs {NEEDED[self.needs]} of p(x0 | x_t), but {type(denoiser).__name__} offers only: "
                f"{offered}. {why}"
            )
        if self.assumes_gaussian and not process.gaussian:
            raise UnsupportedError(
                f"Sampler {name} assumes Gaussian noise, but {type(process).__name__} adds another kind. "
                "Use ancestral (valid for small increments) or, with a denoiser that samples, consistency"
            )

    def sample(
        self,
        denoiser: Denoiser,
        x: Tensor,
        grid: Tensor,
        *,
        draws: Draws | None = None,
        cond: Cond | None = None,
        callback: Callback | None = None,
        past: Sequence[Past] = (),
    ) -> Tensor:
        """x at grid[0] -> x at grid[-1].

        Arguments:
            denoiser: offers what the sampler `needs`.
            x: (B, C, *space) at time grid[0].
            grid: (n + 1,) falling times, float64.
            draws: source of noise, for a sampler that injects it.
            cond: what is asked for.
            callback: called after every step.
            past: evaluations before grid[0], oldest first, for multistep samplers that should not start from low order.
        """
        self.check(denoiser)
        kept, nfe, steps = list(past), 0, len(grid) - 1
        with torch.no_grad():
            for step in range(steps):
                now = Now(denoiser, cond, draws, grid[step], grid[step + 1], step, steps - step, kept)
                x = self.step(now, x)
                del kept[: max(0, len(kept) - self.memory)]
                nfe += now.nfe
                if callback is not None:
                    callback(Progress(step + 1, steps, float(now.s), x, now.latest, nfe))
        return x


def combine(*terms: tuple[Tensor | float, Tensor]) -> Tensor:
    """Sum of float64 coefficients times states, in the states' dtype."""
    total = None
    for coefficient, state in terms:
        term = torch.as_tensor(coefficient, dtype=torch.float64).to(state) * state
        total = term if total is None else total + term
    assert total is not None
    return total
