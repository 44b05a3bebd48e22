"""The contract of a picture that has been opened: what its header tells, and its pixels when asked for."""

from abc import ABC, abstractmethod
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.canvas import Canvas


class Picture(ABC):
    """One picture in an open stream.

    Attributes:
        size: (width, height), upright.
        channels: as many as it has by itself: 1 for grey, 3 for colours; transparency counts only when it is asked for.
        notes: sentences for the user about what its nature asked for, complete when the pixels have been read.
    """

    size: tuple[int, int]
    channels: int
    notes: tuple[str, ...] = ()

    @classmethod
    @abstractmethod
    def open(cls, stream: IO[bytes]) -> Self:
        """Reads the header. Raises RefusedError for what is not wanted, and anything for what is damaged."""

    @abstractmethod
    def pixels(self, canvas: Canvas) -> NDArray[np.uint8]:
        """(C, H, W) as the canvas says. Raises as `open` does."""

    def values(self) -> NDArray[Any] | None:
        """The numbers whose range decides what black and white are; None where the format fixes that."""
        return None
