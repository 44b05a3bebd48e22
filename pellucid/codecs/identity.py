"""No codec: data is diffused as it is."""

from torch import Tensor

from pellucid.codecs.codec import Codec


class Identity(Codec):
    """z = x."""

    def __init__(self, *, shape: tuple[int, ...] = ()) -> None:  # noqa: ARG002
        super().__init__()

    def encode(self, x: Tensor) -> Tensor:
        return x

    def decode(self, z: Tensor) -> Tensor:
        return z

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape
