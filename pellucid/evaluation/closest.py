"""The samples closest to the data beside what they are close to: the picture that shows copying, or that there is none."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.files import atomic_write
from pellucid.evaluation.nearest import Nearest
from pellucid.evaluation.source import Source
from pellucid.evaluation.wording import figure
from pellucid.modalities.modality import Modality
from pellucid.modalities.sheet import sheet

ROWS, BESIDE = 10, 3


@dataclass(frozen=True)
class Closest:
    """Stored samples (R, 1 + K, C, *space), each row a generated one and its K nearest, at distances (R, K)."""

    modality: Modality
    samples: NDArray[Any]
    distances: NDArray[np.float64]

    @classmethod
    def of(cls, samples: Tensor, source: Source, found: Nearest) -> Self:
        """Those with the lowest scores d_1 / d_K, the lowest first."""
        rows = np.argsort(found.scores, kind="stable")[:ROWS]
        ids, distances = found.ids[rows, :BESIDE], found.distances[rows, :BESIDE]
        near = [np.concatenate([source.modality.encode(samples[row])[None], source.pack[ids[i]][0]])
                for i, row in enumerate(rows.tolist())]  # fmt: skip
        return cls(source.modality, np.stack(near), distances)

    def save(self, path: Path) -> None:
        """A contact sheet, with the distances underneath.

        Raises:
            DataError: channels that are no colours.
        """
        labels = [text for row in self.distances for text in ("sample", *(figure(distance, 2) for distance in row))]
        pictures = self.modality.pictures(self.samples.reshape(-1, *self.samples.shape[2:]))
        with atomic_write(path) as temporary:
            sheet(pictures, columns=self.samples.shape[1], labels=labels).save(temporary)
