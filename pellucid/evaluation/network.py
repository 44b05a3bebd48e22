"""What every feature network is: pictures or series in, features out that the metrics compare, and classes where it knows
them."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.evaluation.source import Source


class FeatureNetwork(nn.Module, ABC):
    """Pictures (B, C, H, W) in [-1, 1] to features (B, F); resizing is the network's own.

    Attributes:
        batch: pictures that are seen at once.
        names: of the classes that it tells apart, in their order; empty for none.
        accuracy: share of classes it gets right on real pictures that it was not trained on; None where that is measured
            on the data at hand.
        view: what it is shown of samples; see `Modality.view`.
    """

    batch: ClassVar[int] = 500
    names: tuple[str, ...] = ()
    accuracy: float | None = None
    view: Callable[[Tensor], Tensor] = staticmethod(lambda x: x)

    @classmethod
    @abstractmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:
        """The network, ready to use, on the CPU.

        Arguments:
            source: the real data, for networks that depend on it.
            weights: a file or folder, for networks whose weights do not come with the package.

        Raises:
            ConfigError, DataError: one of them is needed, not wanted, or does not fit.
        """

    @abstractmethod
    def embed(self, pictures: Tensor) -> Tensor:
        """(B, C, H, W) to (B, F), of one batch."""

    def check(self, pictures: Tensor) -> None:
        """Refuses a shape that the network cannot see."""
        if pictures.ndim != 4:
            raise UnsupportedError(f"Samples of shape {tuple(pictures.shape[1:])} are no pictures: expected (C, H, W)")

    def check_values(self, pictures: Tensor) -> None:
        """Refuses values that are none of the data's."""
        if not pictures.abs().le(1).all():
            raise DataError("The pictures leave [-1, 1] or hold NaN; clamp what was generated before measuring it")

    @torch.inference_mode()
    def features(self, pictures: Tensor) -> NDArray[np.float64]:
        """(N, F), float64, of any number of samples.

        Raises:
            DataError: pictures of another shape, or beyond [-1, 1].
        """
        pictures = self.view(pictures)
        self.check(pictures)
        self.check_values(pictures)
        batches = (pictures[i : i + self.batch].float() for i in range(0, max(1, len(pictures)), self.batch))
        found: NDArray[np.float64] = torch.cat([self.embed(batch) for batch in batches]).double().numpy()
        return found

    def recognise(self, features: NDArray[np.float64]) -> NDArray[np.int64]:  # noqa: ARG002
        """The likeliest class of each row of features (N, F), numbered as in `names`."""
        raise UnsupportedError(f"{type(self).__name__} tells no classes apart")

    def classes(self, pictures: Tensor) -> NDArray[np.int64]:
        """The likeliest class of each picture, (N,)."""
        return self.recognise(self.features(pictures))


def no_weights(weights: Path | None, name: str) -> None:
    """Refuses weights that the network of this name has no use for."""
    if weights is not None:
        raise ConfigError(f"--weights '{weights}': the features '{name}' take none; expected --features inception or dinov2")
