"""The contract of a codec: between data and the space in which it is diffused."""

from abc import ABC, abstractmethod
from typing import ClassVar, Self

from torch import Tensor, nn


class Codec(nn.Module, ABC):
    """Maps data x (B, C, *space) in the modality's range to latents z (B, C', *space') of about unit variance, and back.

    A stochastic codec encodes to the mean of z. Saved in the model file under the prefix `codec.`. Every codec takes,
    keyword-only, `shape`, the (C, *space) of a sample.

    Attributes:
        learned: whether it has weights, which are trained before the denoiser; its latents are then made to have mean 0 and
            variance 1 over the training data.
        fitted: whether it takes something from data in closed form, by `fit`; its latents then have about unit variance.
    """

    learned: ClassVar[bool] = False
    fitted: ClassVar[bool] = False

    def fit(self, x: Tensor) -> None:
        """Take from samples x (N, C, *space) what needs no training."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """x -> z."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """z -> x, as near as the codec can."""

    @abstractmethod
    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """(C', *space') of the latent of a sample of shape (C, *space).

        Raises:
            UnsupportedError: the codec cannot encode that shape.
        """

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        """An instance for the contract tests and the shape (C, *space) of a sample for it."""
        return cls(), (1, 8, 8)
