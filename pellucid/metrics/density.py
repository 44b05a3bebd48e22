"""Density: in how many balls around real samples a generated one lies, over the k expected.

    density = 1/(kM) Σ_j Σ_i [g_j lies in the ball around r_i]

Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", section 3. Expected is 1 for
equal distributions, whatever they are (shown there); it is above 1 where samples crowd around the densest real ones.
"""

from dataclasses import dataclass
from math import inf
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.manifold import Manifold, balls_around
from pellucid.metrics.neighbours import squared_radii

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Density(Manifold):
    """Mean number of real balls around a generated sample, over k; 0 or more."""

    highest: ClassVar[float] = inf

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        inside = balls_around(real, generated, squared_radii(real, self.k))
        mean: Array = counts @ inside / (self.k * counts.sum(1))
        return mean
