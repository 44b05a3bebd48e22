"""The small convolutional classifier behind the features `fashion` and `classifier`."""

from abc import ABC

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.evaluation.network import FeatureNetwork

Strides = tuple[tuple[int, int], ...]


class Convolutional(FeatureNetwork, ABC):
    """Convolutions of 3 x 3, a mean over 2 x 2 cells, and 128 features before the last layer.

    Arguments:
        channels: C of the pictures.
        layers: (channels, stride) of each convolution.
        names: of the classes.
    """

    def __init__(self, channels: int, layers: Strides, names: tuple[str, ...]) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for width, stride in layers:
            parts += [nn.Conv2d(channels, width, 3, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        pooled = (nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 128), nn.ReLU())
        self.c = nn.Sequential(*parts, *pooled)  # `c` and `h` are the names in the files of weights
        self.h = nn.Linear(128, len(names))
        self.names = names

    def embed(self, pictures: Tensor) -> Tensor:
        features: Tensor = self.c(pictures)
        return features

    def forward(self, pictures: Tensor) -> Tensor:
        """Class scores (B, K), before the softmax."""
        scores: Tensor = self.h(self.embed(pictures))
        return scores

    @torch.inference_mode()
    def logits(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """Class scores (N, K) of features (N, 128), float64."""
        scores: NDArray[np.float64] = self.h(torch.from_numpy(features).float()).double().numpy()
        return scores

    def recognise(self, features: NDArray[np.float64]) -> NDArray[np.int64]:
        classes: NDArray[np.int64] = self.logits(features).argmax(1)
        return classes
