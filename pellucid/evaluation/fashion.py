"""Pinned features for Fashion-MNIST, so that figures compare from run to run.

A small convolutional classifier, trained on the 60,000 training images only; 90.8% on the 10,000 test images. Features
are the 128 activations before its last layer. Floors, as Fréchet distance to the features of the 60,000 training images:

    the 10,000 test images     0.042
    5,000 training images      0.16
    2,000 training images      0.29

Compare figures of equal N only. Weights: `fashion_features.safetensors` beside this file; never retrain them.
"""

from pathlib import Path
from typing import Self

from safetensors.torch import load_file
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.evaluation.convolutional import Convolutional
from pellucid.evaluation.network import no_weights
from pellucid.evaluation.source import Source

WEIGHTS = Path(__file__).with_name("fashion_features.safetensors")
NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
SHAPE = (1, 28, 28)


class FashionFeatures(Convolutional):
    """Pictures (B, 1, 28, 28) in [-1, 1] to features (B, 128), class scores (B, 10) and classes (B,)."""

    def __init__(self) -> None:
        super().__init__(1, ((32, 1), (64, 2), (64, 1), (128, 2)), NAMES)

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        no_weights(weights, "fashion")
        network = cls()
        network.load_state_dict(load_file(WEIGHTS))
        return network.eval()

    def check(self, pictures: Tensor) -> None:
        if pictures.shape[1:] != SHAPE:
            raise DataError(f"The pictures have shape {tuple(pictures.shape)}; expected (B, 1, 28, 28)")
