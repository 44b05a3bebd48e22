"""One thing that lies in a source: its name, where it stands and, when asked for, its bytes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import IO


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Something to be read, not opened yet.

    Arguments:
        name: relative to the data set ("coats/17.png", "coats.zip/17.png", "train.parquet#17").
        open: gives a stream of bytes that can be sought in, for as long as the next entry has not been asked for. Raises
            RefusedError for what must not be read, and whatever damaged files lead to.
        suffix: the end of the name, in small letters with its dot; None where only the content tells what it is.
        label: as the source says outright.
        folders: in which it lies within an archive, outermost first; the first is a label, unless all share it.
        captions: what is said of it, one as good as another.
        notes: sentences for the user about choices made while reading.
    """

    name: str
    open: Callable[[], IO[bytes]]
    suffix: str | None
    label: str | None = None
    folders: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
