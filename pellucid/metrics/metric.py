"""What every metric on features is: two sets of features in, a figure with interval and floor out.

    metric(real, generated) -> Result, features (N, F) and (M, F)

    interval: value ± z s,    s the standard deviation of the figure over bootstrap resamples of the generated set
    floor:    the figure of n real samples against the other real ones, n = min(M, N // 2)

The interval tells how far the figure would move with other samples from the same model, N and M kept. It is centred on
the value, not on the resamples, since resampling adds the bias of a finite set once more (Efron & Tibshirani 1993,
"An introduction to the bootstrap", chapter 10). That bias itself is what the floor shows. Close to the floor a distance
gets an interval too wide, about twofold: the resamples scatter around a set that itself lies off the truth.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import inf
from statistics import NormalDist
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.random import Key
from pellucid.metrics.result import Result


@dataclass(frozen=True, kw_only=True)
class Metric(ABC):
    """A figure on two sets of features.

    Arguments:
        resamples: bootstrap resamples behind the interval, at least 2.
        level: confidence of the interval.
        seed: of the resamples and of the split for the floor.
    """

    lowest: ClassVar[float] = -inf  # value that the figure cannot fall below,
    highest: ClassVar[float] = inf  # or rise above
    better: ClassVar[Literal["less", "more"]] = "less"

    resamples: int = 100
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resamples < 2 or not 0 < self.level < 1:
            raise ConfigError(
                f"resamples = {self.resamples}, level = {self.level}; expected at least 2 resamples and a level in (0, 1)"
            )

    @abstractmethod
    def measure(
        self, real: NDArray[np.float64], generated: NDArray[np.float64], counts: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """The figure for R re-weightings at once: counts (R, M) -> (R,).

        Row r is the set in which sample m occurs counts[r, m] times; each row sums to M. A row of ones is the plain figure.
        """

    @classmethod
    @abstractmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""

    def __call__(self, real: NDArray[Any], generated: NDArray[Any]) -> Result:
        """The figure of `generated` (M, F) against `real` (N, F), computed in float64.

        Raises:
            DataError: not two matrices of equal width, fewer than 4 samples in a set, or values that are not finite.
        """
        real, generated = _checked("real", real), _checked("generated", generated)
        if real.shape[1] != generated.shape[1]:
            raise DataError(f"Real features are {real.shape[1]} wide, generated ones {generated.shape[1]}; expected equal")
        n = self.size(len(real), len(generated))
        generated = generated[np.sort(self._order("generated", len(generated))[:n])]
        value, *resampled = self.measure(self.reference(real, n), generated, self._counts(n))
        reach = NormalDist().inv_cdf((1 + self.level) / 2) * np.std(resampled, ddof=1)
        low, high = max(self.lowest, value - reach), min(self.highest, value + reach)
        return Result(value=float(value), low=float(low), high=float(high), floor=self.floor(real, n), n=n)

    def floor(self, real: NDArray[Any], n: int) -> float:
        """Real against real: `n` real samples, at most half of them, measured against the others."""
        others, held = self.split(_checked("real", real), n)
        return float(self.measure(others, held, np.ones((1, len(held))))[0])

    def size(self, n_real: int, n_generated: int) -> int:  # noqa: ARG002
        """How many generated samples are measured: all, unless a metric compares sets of one size."""
        return n_generated

    def reference(self, real: NDArray[np.float64], n: int) -> NDArray[np.float64]:  # noqa: ARG002
        """The real samples that `n` generated ones are measured against: all."""
        return real

    def split(self, real: NDArray[np.float64], n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The other real samples and `n` of them, at most half, that stand in for generated ones; drawn by key."""
        order, held = self._order("floor", len(real)), min(n, len(real) // 2)
        return real[order[held:]], real[order[:held]]

    def _order(self, purpose: str, n: int) -> NDArray[np.int64]:
        """range(n), shuffled by key."""
        order: NDArray[np.int64] = np.argsort(Key(self.seed, purpose).uniform([0], (n,)).numpy()[0])
        return order

    def _counts(self, m: int) -> NDArray[np.float64]:
        """(1 + resamples, m): a row of ones, then how often each sample is drawn in m draws with replacement."""
        draws = Key(self.seed, "bootstrap").uniform(range(self.resamples), (m,)).numpy()
        drawn = (np.bincount((row * m).astype(np.int64), minlength=m) for row in draws)
        return np.stack([np.ones(m), *drawn])


def _checked(name: str, features: NDArray[Any]) -> NDArray[np.float64]:
    features = np.asarray(features, dtype=np.float64)
    if features.ndim != 2 or len(features) < 4:
        raise DataError(f"The {name} features have shape {features.shape}; expected (N, F) with N of at least 4")
    if not np.isfinite(features).all():
        raise DataError(f"The {name} features hold NaN or infinity in {(~np.isfinite(features)).any(1).sum()} samples")
    return features
