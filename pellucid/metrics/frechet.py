"""Fréchet distance between Gaussians fitted to two sets of features.

    d² = |μ_r - μ_g|² + tr(Σ_r) + tr(Σ_g) - 2 tr((Σ_r^½ Σ_g Σ_r^½)^½)

Source: Dowson & Landau 1982, "The Fréchet distance between multivariate normal distributions", eq. 16; as a metric of
generators Heusel et al. 2017, "GANs trained by a two time-scale update rule", eq. 6. As there, the squared distance is
what is reported. Both roots are of symmetric matrices and come from their eigenvalues, in float64. The estimate from
finite sets is biased upwards, by a term in 1/N, so figures compare at equal N only; with N below F it says little.
"""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.metric import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Frechet(Metric):
    """Squared Fréchet distance, >= 0, in squared units of the features. Covariances divide by N - 1."""

    lowest: ClassVar[float] = 0.0

    @classmethod
    def example(cls) -> Self:
        return cls(resamples=10)

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        mean, covariance = moments(real, np.ones(len(real)))
        root = _root(covariance)
        return np.array([_distance(mean, covariance, root, *moments(generated, row)) for row in counts])


def moments(features: Array, counts: Array) -> tuple[Array, Array]:
    """Mean (F,) and covariance (F, F) of features (N, F) of which each occurs counts (N,) times."""
    n, there = counts.sum(), counts > 0
    mean = counts @ features / n
    weighted = (features[there] - mean) * np.sqrt(counts[there, None])
    return mean, weighted.T @ weighted / (n - 1)  # of a matrix with itself, which costs half as much


def frechet_distance(mean_1: Array, covariance_1: Array, mean_2: Array, covariance_2: Array) -> float:
    """d² between N(mean_1, covariance_1) and N(mean_2, covariance_2): means (F,), covariances (F, F)."""
    return _distance(mean_1, covariance_1, _root(covariance_1), mean_2, covariance_2)


def _distance(mean_1: Array, covariance_1: Array, root_1: Array, mean_2: Array, covariance_2: Array) -> float:
    eigenvalues = np.linalg.eigvalsh(root_1 @ covariance_2 @ root_1)
    overlap = np.sqrt(eigenvalues.clip(min=0.0)).sum()
    apart = np.square(mean_1 - mean_2).sum() + np.trace(covariance_1) + np.trace(covariance_2) - 2 * overlap
    return max(0.0, float(apart))  # rounding may leave -1e-12 between equal sets


def _root(covariance: Array) -> Array:
    """The symmetric square root, of a matrix that is positive semi-definite up to rounding."""
    eigenvalues, vectors = np.linalg.eigh(covariance)
    root: Array = (vectors * np.sqrt(eigenvalues.clip(min=0.0))) @ vectors.T
    return root
