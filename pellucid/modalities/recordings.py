"""What reading sounds, films, scans and texts has in common: a first look, then windows of one after the other."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError
from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.sources.entry import Entry
from pellucid.sources.find import find
from pellucid.sources.refused import reason
from pellucid.sources.source import Source

Why = Callable[[Exception], str]
"""The reason for a rejection, in words for the user."""
Windows = Callable[[Entry, str | None, dict[str, None]], Iterator[Item | Rejection | None]]
"""Of an entry with this label; keys of the last argument are sentences for the user. None: it is part of an item that
a later entry completes.
"""


def survey(path: Path, look: Callable[[Entry], None], why: Why) -> tuple[int, Rejection | None]:
    """Have `look` see each entry. Folders that all of them lie in, 0 or 1, which are therefore no label; and the first that
    was rejected, as reading it will reject it again.
    """
    tops, first = set[str | None](), None
    for source in find(path):
        for entry in source.entries() if isinstance(source, Source) else [source]:
            if isinstance(entry, Rejection):
                first = first or entry
                continue
            try:
                look(entry)
                tops.add(entry.folders[0] if entry.folders else None)
            except Exception as error:  # decoders of damaged files raise whatever they come upon
                first = first or Rejection(source=entry.name, reason=why(error))
    return int(len(tops) == 1 and None not in tops), first


def read_windows(
    path: Path, windows: Windows, *, column: str | None, labels: bool, common: int, notes: tuple[str, ...],
    details: Mapping[str, Any], why: Why, nothing: Callable[[Path, Rejection | None], DataError],
) -> Iterator[Record]:  # fmt: skip
    """The windows of every recording in `path`, and after those of a file what it was. One that is damaged in the middle
    ends there, and says so.

    Raises:
        DataError: not one of them can be read; `nothing` makes it.
    """
    first: Rejection | None = None
    items = 0
    for source in find(path, column):
        used, found = 0, dict[str, None]()
        for record in _records(source, windows, labels, common, found, why):
            items, used = items + isinstance(record, Item), used + (not isinstance(record, Rejection))
            first = first or (record if isinstance(record, Rejection) else None)
            if record is not None:
                yield record
        if used and isinstance(source, Source):
            yield from origins(source, (*notes, *found), details)
            notes = ()
    if not items:
        raise nothing(path, first)


def _records(
    source: Source | Rejection, windows: Windows, labels: bool, common: int, notes: dict[str, None], why: Why
) -> Iterator[Item | Rejection | None]:
    if isinstance(source, Rejection):
        yield source
        return
    for entry in source.entries():
        if isinstance(entry, Rejection):
            yield entry
            continue
        try:
            yield from windows(entry, _label(entry, source, common) if labels else None, notes)
        except Exception as error:
            yield Rejection(source=entry.name, reason=why(error))


def _label(entry: Entry, source: Source, common: int) -> str | None:
    """What the entry says, else the folder in the archive, else the folder in which the archive lies."""
    inner = entry.folders[common] if len(entry.folders) > common else None
    return entry.label or inner or source.label


def origins(source: Source, notes: tuple[str, ...], details: Mapping[str, Any]) -> Iterator[Origin | Rejection]:
    """What the files of a source were; notes and details of the first."""
    for path in source.files():
        name = source.name if path == source.path else path.name
        try:
            size, digest = path.stat().st_size, sha256(path)
            yield Origin(source=name, size=size, sha256=digest, notes=notes, details=dict(details))
        except OSError as error:  # gone since
            yield Rejection(source=name, reason=reason(error))
        notes = ()
