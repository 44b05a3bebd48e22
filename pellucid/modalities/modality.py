"""The contract of a kind of data: what reading, showing and writing it mean."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.items import Record


class Modality(ABC):
    """One kind of data, between files and tensors (B, C, *space).

    Data has three forms: source files; the storage type, in which it is packed (uint8 for pictures); and the model's
    range, float32 of about unit size. `read` goes from the first to the second, `decode` and `encode` between the
    second and the third, `write` and `journey` from the third to files that a person can look at or hear.

    A subclass is a frozen dataclass whose fields are its settings (a sample rate, the scales of columns); the model file
    keeps them, so that samples are written as the training data was read.

    Class attributes:
        sampler, steps: the defaults of sampling; a name in the samplers' registry, and a number.
        metrics: names of the metrics that judge samples, the first one being the headline.
        storage: the NumPy type of packed samples.
    """

    sampler: ClassVar[str]
    steps: ClassVar[int]
    metrics: ClassVar[tuple[str, ...]]
    storage: ClassVar[str]

    @classmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""
        return cls()

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like data of this kind, from names alone."""

    @abstractmethod
    def files(self, path: Path) -> Iterator[Path]:
        """What `read` opens, in its order: the sizes and times of these files tell whether a pack is still current."""

    @abstractmethod
    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """Everything in `path`, one record at a time, in an order that depends on names and content alone.

        Arguments:
            path: a file or folder.
            size: length of the longest spatial axis, or of each; None lets the data decide, which an `Origin` says in its
                notes.
            channels: C of each item; None lets the data decide.
            labels: whether items carry their labels.
            column: that holds captions, where the data has columns; None: the likeliest.

        Yields:
            An `Origin` for each file that was read, an `Item` for each sample in it, all of one shape (C, *space), and
            a `Rejection` for each file that was skipped.

        Raises:
            DataError: on the way, when there is nothing readable or the files contradict each other.
        """

    @abstractmethod
    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        """From the storage type to the model's range, float32, of the same shape and device."""

    @abstractmethod
    def encode(self, x: Tensor) -> NDArray[Any]:
        """From the model's range to the nearest value of the storage type; undoes `decode` exactly."""

    @abstractmethod
    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[Path]:
        """Samples (B, C, *space) as files that other programs open, each whole or not there at all.

        Arguments:
            path: a folder for a file each, or a file that shows all at once.
            labels, captions: what each sample was to be, where the format has room for it.

        Returns:
            The files written.

        Raises:
            UserError: the path cannot be written, or the samples do not fit its format.
        """

    @abstractmethod
    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        """How samples came to be: `frames` are the same batch (B, C, *space) at successive steps, the last one final.

        Raises:
            UserError: the path cannot be written, or its format is not one that shows a journey.
        """
