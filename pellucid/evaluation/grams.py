"""Features without weights, for texts: how often tokens follow each other, as `Text.view` counts them."""

from pathlib import Path
from typing import Self

from torch import Tensor

from pellucid.core.errors import DataError, UnsupportedError
from pellucid.evaluation.network import FeatureNetwork, no_weights
from pellucid.evaluation.source import Source


class GramFeatures(FeatureNetwork):
    """Counts (B, F) are themselves the features. They know spelling and frequent words, no grammar and no sense."""

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        no_weights(weights, "grams")
        return cls().eval()

    def check(self, pictures: Tensor) -> None:
        if pictures.ndim != 2:
            raise UnsupportedError(f"Samples of shape {tuple(pictures.shape[1:])} are no texts")

    def check_values(self, pictures: Tensor) -> None:
        if not bool(pictures.isfinite().all()):
            raise DataError("The counts are no numbers")

    def embed(self, pictures: Tensor) -> Tensor:
        return pictures
