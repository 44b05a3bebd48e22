"""What evaluating a model found."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.core.errors import DataError
from pellucid.core.files import atomic_write
from pellucid.evaluation.closest import Closest
from pellucid.evaluation.nearest import Nearest
from pellucid.evaluation.quality import as_event
from pellucid.metrics.result import Result
from pellucid.model.samples import Samples

SHOWN = 100


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What was found, and how.

    Attributes:
        metrics: by name, each with its interval, floor and N.
        features: the network that they are taken on.
        accuracy: the share of real classes that it recognises, if it knows any.
        n, n_real: samples generated, and real ones whose features were taken.
        trained_on: whether the data is what the model was trained on.
        samples: what was drawn.
        nearest: for each sample, the nearest of all the data.
        closest: the samples with the nearest neighbours, and these, to be shown.
        settings: of sampling.
        notes: sentences on what limits the figures.
        seconds: in all.
    """

    metrics: dict[str, Result]
    features: str
    accuracy: float | None
    n: int
    n_real: int
    trained_on: bool
    samples: Samples
    nearest: Nearest
    closest: Closest
    settings: dict[str, Any]
    notes: tuple[str, ...]
    seconds: float

    @property
    def facts(self) -> dict[str, Any]:
        """All but samples and neighbours, as JSON holds it."""
        return {
            "metrics": as_event(self.metrics), "features": self.features, "accuracy": self.accuracy, "n": self.n,
            "n_real": self.n_real, "trained_on": self.trained_on, "seed": self.samples.seed, "nfe": self.samples.nfe,
            "settings": self.settings, "notes": list(self.notes), "seconds": round(self.seconds, 2),
        }  # fmt: skip

    @property
    def everything(self) -> dict[str, Any]:
        """The facts, and for each sample the nearest of the data."""
        near = {"ids": self.nearest.ids.tolist(), "distances": self.nearest.distances.tolist()}
        return {**self.facts, "nearest": near}

    def save(self, folder: Path) -> None:
        """evaluation.json with each sample's neighbours, and as pictures, where they can be shown, samples and nearest."""
        with atomic_write(folder / "evaluation.json") as temporary:
            temporary.write_text(json.dumps(self.everything, ensure_ascii=False), encoding="utf-8")
        if self.show_nearest(folder / "nearest.png"):
            rows = np.unique(np.linspace(0, self.n - 1, SHOWN).astype(np.int64)).tolist()  # spread over the classes
            labels = self.samples.labels and [self.samples.labels[row] for row in rows]
            self.samples.modality.write(self.samples.data[rows], folder / "samples.png", labels=labels)

    def show_nearest(self, path: Path) -> bool:
        """The sheet of the samples closest to the data; False where no picture shows them."""
        try:
            self.closest.save(path)
        except DataError:  # channels that are no colours
            return False
        return True
