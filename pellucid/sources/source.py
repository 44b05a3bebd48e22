"""The contract of a source: a file, or a name on the hub, in which one thing lies or many."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.core.items import Rejection
from pellucid.sources.companions import NOTHING, Told
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError, reason


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Where entries come from, read in place: nothing is ever unpacked to the disk.

    Arguments:
        path: of the file.
        name: of the file, relative to the data set, as valid text.
        label: what its place says: the first folder of the data set in which it lies.
        told: what is said of the file by those beside it.
        column: that holds the captions of what lies in it; None: the likeliest.

    Class attributes:
        suffixes: how the names of such files end, in small letters.
    """

    path: Path
    name: str
    label: str | None = None
    told: Told = NOTHING
    column: str | None = None

    suffixes: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def claims(cls, path: Path) -> bool:
        """Whether `path` is a source of this kind, from its name alone."""
        return path.name.lower().endswith(cls.suffixes)

    def files(self) -> Iterator[Path]:
        """The files on the disk that hold the entries, for their sizes and hashes."""
        yield self.path

    def entries(self) -> Iterator[Entry | Rejection]:
        """Everything in it, in an order that depends on names and content alone, in memory that does not grow with it.

        What cannot be read is a rejection; of a damaged archive, what comes before the damage is still there. There is one
        of either at least.

        Raises:
            UserError: there is no such source at all.
        """
        empty = True
        try:
            for entry in self._entries():
                empty = False
                yield entry
            if empty:
                raise RefusedError("nothing in it")
        except UserError:
            raise
        except Exception as error:  # readers of damaged files raise whatever they come upon
            yield Rejection(source=self.name, reason=reason(error))

    @abstractmethod
    def _entries(self) -> Iterator[Entry | Rejection]:
        """The same, where any exception ends the source."""
