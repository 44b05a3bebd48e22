"""The contract of a kind of data: what reading, showing and writing it mean."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.items import Record
from pellucid.sources.find import find, find_companions
from pellucid.sources.source import Source


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
        axes: what those of a sample are.
        suffixes: of the files that `write` makes of all samples together.
        played: how a file ends in which samples are heard or move, of all that `write` makes; "": they do neither.
        journeys: of those that `journey` makes.
        column: what one holds that is named as the condition.
        recipe: that such data is trained with unless another is named; "": the defaults.
        given: the share of training samples of which a part is shown to the model as known, so that it learns to fill in the
            rest; 0: it makes samples whole.
        forcing: the share of training samples whose frames, along the first axis of space, have times of their own, so that
            the model learns to go on from some of them; 0: it is one time for all.
        lasting: whether what was learned of the data stays as it is when training goes on from a model with other data, as
            its weights mean nothing without.
    """

    sampler: ClassVar[str]
    steps: ClassVar[int]
    metrics: ClassVar[tuple[str, ...]]
    storage: ClassVar[str]
    axes: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]]
    played: ClassVar[str] = ""
    journeys: ClassVar[tuple[str, ...]] = (".gif", ".webp", ".png")
    column: ClassVar[Literal["caption", "label"]] = "caption"
    recipe: ClassVar[str] = ""
    given: ClassVar[float] = 0.0
    forcing: ClassVar[float] = 0.0
    lasting: ClassVar[bool] = False

    @classmethod
    def example(cls) -> Self:
        """An instance for the contract tests."""
        return cls()

    @property
    def categories(self) -> int:
        """How many there are of the tokens that data is made of; 0: it is made of values."""
        return 0

    @property
    def sourced(self) -> int:
        """How many values at the beginning of the last axis are what samples are made from, and always given."""
        return 0

    @property
    def spans(self) -> tuple[int, ...]:
        """How many places along the first axis of space each part of a sample takes that has a time of its own; (): each
        place has.
        """
        return tuple(tokens for _, tokens in self.segments)

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """(values, tokens) of each part of a sample, where parts differ in kind; (): it has none."""
        return ()

    @property
    def importance(self) -> Tensor | None:
        """Weights of the values of a sample in the loss, with mean 1; None: all alike."""
        return None

    @property
    def scales(self) -> Tensor | None:
        """Sizes of the values at the places of a sample's last axis; None: all alike."""
        return None

    @abstractmethod
    def recognises(self, path: Path) -> bool:
        """Whether `path` looks like data of this kind, from names and a glance at a few files."""

    def files(self, path: Path) -> Iterator[Path]:
        """What `read` opens, in its order: the sizes and times of these files tell whether a pack is still current. All
        sources in `path`, and what tells of them, unless a subclass knows better.
        """
        yield from (source.path for source in find(path) if isinstance(source, Source))
        yield from find_companions(path)

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
            column: that holds captions, or labels where the class says so; None: the likeliest.

        Yields:
            An `Origin` for each file that was read, an `Item` for each sample in it, all of one shape (C, *space), and
            a `Rejection` for each file that was skipped.

        Raises:
            DataError: on the way, when there is nothing readable or the files contradict each other.
        """

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Settings that the data decides, by the names of fields: kept in the model file.

        Arguments:
            stored: (N, C, *space), samples spread over the data.
            details: of the first `Origin` that was read.
        """
        return {}

    @abstractmethod
    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        """From the storage type to the model's range, float32, or int64 of tokens, of the same shape and device."""

    @abstractmethod
    def encode(self, x: Tensor) -> NDArray[Any]:
        """From the model's range to the nearest value of the storage type; undoes `decode`: exactly where values are whole
        numbers, else to float32's precision.
        """

    def view(self, x: Tensor) -> Tensor:
        """What features of samples x in the model's range are taken from: pictures (B, C', H, W) in [-1, 1], or x itself."""
        return x

    def shows(self, shape: tuple[int, ...]) -> bool:  # noqa: ARG002
        """Whether pictures can show samples of this shape."""
        return True

    @abstractmethod
    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        """What a sheet shows of stored samples (B, C, *space): a picture (C', H, W) of each.

        Raises:
            DataError: they cannot be shown.
        """

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
