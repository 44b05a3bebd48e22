"""Coverage: the share of real samples that have a generated one near.

    coverage = 1/N Σ_i [some g_j lies in the ball around r_i]

Source: Naeem et al. 2020, "Reliable fidelity and diversity metrics for generative models", section 3. Expected for equal
distributions is 1 - (N-1)...(N-k) / ((M+N-1)...(M+N-k)): about 1 - 2^-k for sets of equal size.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.manifold import Manifold, reached
from pellucid.metrics.neighbours import squared_radii

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Coverage(Manifold):
    """Share of real samples whose ball holds a generated one, in [0, 1]."""

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        return reached(real, generated, counts, squared_radii(real, self.k)[:, None])
