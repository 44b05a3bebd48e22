"""Recall: the share of real samples that lie where generated ones do.

    recall = 1/N Σ_i [r_i lies in some ball around a generated sample]

Source: Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models", section 2.
Scattered samples of poor quality have large balls and so a high recall; coverage does not rise for that.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.manifold import Manifold, reached
from pellucid.metrics.neighbours import squared_radii

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Recall(Manifold):
    """Share of real samples in the generated manifold, in [0, 1]."""

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        return reached(real, generated, counts, squared_radii(generated, self.k)[None])
