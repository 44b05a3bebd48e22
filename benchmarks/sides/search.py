"""The fewest network calls at which a side's best way is near enough to the data."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.evaluation.fashion import FashionFeatures
from pellucid.metrics.frechet import Frechet
from pellucid.modalities.arrays import ArrayFile
from pellucid.modalities.image import Image
from sides.ways import Draw

FILE = "train-images-idx3-ubyte.gz"
FACTOR = 1.1
"""Of the teacher's distance: the mark."""
GLANCE, HOPEFUL = 500, 1.15
"""Pictures on which a way is looked at first, and by which factor its distance on them may exceed that of as many of the
teacher's if it is to be measured in full.
"""
SHARE, LEAST = 0.3, 4
"""Of the ways by that first look, those that go on to the next number of calls, and at least how many."""
Features = NDArray[np.float64]


class Distance:
    """Features of pictures in, the Fréchet distance to all training pictures in `data` out."""

    def __init__(self, data: Path) -> None:
        self.network, self.modality = FashionFeatures.load(), Image()
        real = np.stack(list(ArrayFile.open(data / FILE).rows()))[:, None]
        self.real = self.network.features(self.modality.decode(real))

    def features(self, pictures: Tensor) -> Features:
        """Of pictures (n, 1, 28, 28) in [-1, 1], as bytes show them."""
        return self.network.features(self.modality.decode(self.modality.encode(pictures)))

    def __call__(self, features: Features, resamples: int = 2) -> dict[str, Any]:
        return asdict(Frechet(resamples=resamples)(self.real, features))


@dataclass(frozen=True, kw_only=True)
class Search:
    """What both sides are held to.

    Attributes:
        teacher: features of the teacher's n pictures.
        seed: of the noise that all begin from.
        tell: is given every distance that is measured, with whose it is.
        known: what it was given before, by way, calls and pictures; not measured again.
    """

    distance: Distance
    teacher: Features
    seed: int
    tell: Callable[[dict[str, Any]], None]
    known: Mapping[tuple[str, int, int], float] = field(default_factory=dict)

    def fewest(self, ways: Mapping[str, Draw], calls: range) -> tuple[str, int] | None:
        """The nearest way at the first number of calls at which one reaches the mark; None where none does."""
        mark = FACTOR * self.distance(self.teacher)["value"]
        glance = HOPEFUL * self.distance(self.teacher[:GLANCE])["value"]
        left = dict(ways)
        for count in calls:
            first = self.measured(left, count, GLANCE)
            order = sorted(first, key=first.__getitem__)
            hopeful = {name: left[name] for name in order if first[name] <= glance}
            whole = self.measured(hopeful, count, len(self.teacher))
            best = min(whole, key=whole.__getitem__, default=None)
            if best is not None and whole[best] <= mark:
                return best, count
            kept = {*order[: max(LEAST, round(SHARE * len(order)))], *(left.keys() - first.keys())}
            left = {name: draw for name, draw in left.items() if name in kept}
        return None

    def measured(self, ways: Mapping[str, Draw], calls: int, n: int) -> dict[str, float]:
        """The distance of n pictures by each of the ways that make any in so many calls."""
        found = {}
        for name, draw in ways.items():
            if (name, calls, n) in self.known:
                found[name] = self.known[name, calls, n]
                continue
            made = draw(calls, n, self.seed)
            if made is not None:
                result = self.distance(self.distance.features(made), 2 if n < len(self.teacher) else 50)
                self.tell({"way": name, "calls": calls, **result})
                found[name] = float(result["value"])
        return found
