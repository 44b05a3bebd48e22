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

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from pellucid.core.errors import DataError

WEIGHTS = Path(__file__).with_name("fashion_features.safetensors")
BATCH = 500


class FashionFeatures(nn.Module):
    """Pictures (B, 1, 28, 28) in [-1, 1] to features (B, 128), class scores (B, 10) and classes (B,)."""

    names: tuple[str, ...] = (
        "t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"
    )  # fmt: skip

    def __init__(self) -> None:
        super().__init__()
        self.c = nn.Sequential(  # `c` and `h` are the names in the file of weights
            *_convolution(1, 32, stride=1),
            *_convolution(32, 64, stride=2),
            *_convolution(64, 64, stride=1),
            *_convolution(64, 128, stride=2),
            nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(512, 128), nn.ReLU(),
        )
        self.h = nn.Linear(128, 10)

    @classmethod
    def load(cls) -> Self:
        """The pinned network, in evaluation mode, on the CPU."""
        network = cls()
        network.load_state_dict(load_file(WEIGHTS))
        return network.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Class scores (B, 10), before the softmax."""
        scores: Tensor = self.h(self.c(pictures))
        return scores

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> NDArray[np.float64]:
        """(B, 128), float64.

        Raises:
            DataError: pictures of another shape, or beyond [-1, 1].
        """
        if pictures.shape[1:] != (1, 28, 28):
            raise DataError(f"The pictures have shape {tuple(pictures.shape)}; expected (B, 1, 28, 28)")
        if not pictures.abs().le(1).all():
            raise DataError("The pictures leave [-1, 1] or hold NaN; clamp what was generated before measuring it")
        batches = (pictures[i : i + BATCH].to(self.h.weight) for i in range(0, max(1, len(pictures)), BATCH))
        return _as_array(torch.cat([self.c(batch) for batch in batches]))

    @torch.inference_mode()
    def logits(self, pictures: Tensor) -> NDArray[np.float64]:
        """Class scores (B, 10), float64; errors as in `features`."""
        return _as_array(self.h(torch.from_numpy(self.features(pictures)).to(self.h.weight)))

    def classes(self, pictures: Tensor) -> NDArray[np.int64]:
        """The likeliest class of each picture, (B,), numbered as in the labels of the data set."""
        classes: NDArray[np.int64] = self.logits(pictures).argmax(1)
        return classes


def _convolution(channels_in: int, channels_out: int, *, stride: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(channels_in, channels_out, 3, stride, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()


def _as_array(x: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = x.double().cpu().numpy()
    return array
