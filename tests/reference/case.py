"""One run of a transcription: levels of a schedule on a grid, a start, the noise of each step, and changes of variable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from reference import ancestral, edm
from reference.levels import Array, levels, mixture

BATCH = 16
WEIGHTS = np.array([0.5, 0.3, 0.2])
MEANS = np.array([[-1.0, 0.2], [0.9, -0.7], [0.6, 1.3]])
COVARIANCES = np.array([[[0.04, 0.01], [0.01, 0.09]], [[0.16, -0.08], [-0.08, 0.06]], [[0.02, 0], [0, 0.02]]])


@dataclass
class Case:
    """Times, (alpha, sigma) at each, the state at the first, and noise for each step."""

    t: Array
    alpha: Array
    sigma: Array
    x: Array
    z: Array
    D = staticmethod(mixture(WEIGHTS, MEANS, COVARIANCES))

    @classmethod
    def at(cls, kind: str, t: Array) -> "Case":
        rng = np.random.default_rng(7)
        alpha, sigma = levels(kind, t)
        x = alpha[0] * rng.normal(size=(BATCH, 2)) + sigma[0] * rng.normal(size=(BATCH, 2))
        return cls(t, alpha, sigma, x, rng.normal(size=(len(t) - 1, BATCH, 2)))

    def eps(self, x: Array, i: int) -> Array:
        return np.asarray((x - self.alpha[i] * self.D(x, self.alpha[i], self.sigma[i])) / self.sigma[i])

    def v(self, x: Array, i: int) -> Array:
        """alpha eps - sigma x0 for a variance-preserving pair (alpha, sigma)."""
        return np.asarray(self.alpha[i] * self.eps(x, i) - self.sigma[i] * self.D(x, self.alpha[i], self.sigma[i]))

    def preserving(self, run: Callable[..., list[Array]], predict: str, *extra: Any) -> list[Array]:
        """A method for variance-preserving chains, on x / sqrt(alpha^2 + sigma^2)."""
        norm = np.hypot(self.alpha, self.sigma)
        inner = Case(self.t, self.alpha / norm, self.sigma / norm, self.x / norm[0], self.z)
        states = run(getattr(inner, predict), inner.alpha**2, inner.x, *extra)
        return [n * state for n, state in zip(norm[1:], states, strict=True)]

    def ddpm(self) -> list[Array]:
        return self.preserving(ancestral.ddpm, "eps", self.z)

    def ddim(self, eta: float) -> list[Array]:
        return self.preserving(ancestral.ddim, "eps", self.z, eta)

    def ddim_v(self) -> list[Array]:
        return self.preserving(ancestral.ddim_v, "v")

    def edm(self, **options: Any) -> list[Array]:
        """EDM's algorithm 2, on x / alpha."""
        states = edm.stochastic(
            lambda x, t: self.D(x, 1.0, t), self.sigma / self.alpha, self.x / self.alpha[0], self.z, **options
        )
        return [alpha * state for alpha, state in zip(self.alpha[1:], states, strict=True)]


def times(kind: str, steps: int, start: float = 1.0) -> Array:
    """Steps of a table, Karras' levels for "edm", or even times; from `start` to 0."""
    if kind == "edm":
        ramp = np.linspace(0, 1, steps)
        return np.append((start ** (1 / 7) * (1 - ramp) + (0.002 / 80) ** (1 / 7) * ramp) ** 7, 0.0)
    even = np.linspace(start, 0, steps + 1)
    return np.rint(even * 1000) / 1000 if kind in ("table", "zero") else even
