"""Precision: the share of generated samples that lie where real ones do.

    precision = 1/M Σ_j [g_j lies in some ball around a real sample]

Source: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", section 2. A single
real outlier has a large ball, in which everything passes; density does not fall for that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.manifold import Manifold, balls_around
from pellucid.metrics.neighbours import squared_radii

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Precision(Manifold):
    """Share of generated samples in the real manifold, in [0, 1]."""

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        inside = balls_around(real, generated, squared_radii(real, self.k)) > 0
        share: Array = counts @ inside / counts.sum(1)
        return share
