"""Files that belong together, as they have one name but for its end: 17.png, 17.wav and 17.txt are one sample."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError, UserError
from pellucid.core.items import Item, Record, Rejection
from pellucid.modalities.canvas import Canvas, Size
from pellucid.modalities.file_picture import SUFFIXES as PICTURES
from pellucid.modalities.open_picture import open_picture
from pellucid.modalities.open_picture import why as why_no_picture
from pellucid.modalities.parts import PARTS, Part, Picture, Sound, Words
from pellucid.modalities.recordings import origins
from pellucid.modalities.sounds import SUFFIXES as SOUNDS
from pellucid.modalities.sounds import Plan, waves
from pellucid.modalities.sounds import why as why_no_sound
from pellucid.modalities.survey import Survey
from pellucid.sources.entry import Entry
from pellucid.sources.find import find
from pellucid.sources.source import Source

USUAL = 0.5
"""Share of the names that have a part, from which on samples have it."""
FEWEST = 2
"""Parts of a sample."""
Join = Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]
"""Stored parts, as one sample."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """What the reader is told: see `Joint`."""

    rate: int
    window: int
    hop: int
    patch: int
    letters: int


def kind_of(entry: Entry) -> str | None:
    """The part that an entry is."""
    suffix = entry.suffix or ""
    return "picture" if suffix in PICTURES else "sound" if suffix in SOUNDS else None


def stem(entry: Entry) -> str:
    """What entries that belong together share."""
    return entry.name[: len(entry.name) - len(entry.suffix or "")]


@dataclass
class _Seen:
    """A first look: which parts how many names have, and the texts."""

    names: dict[str, set[str]] = field(default_factory=dict)
    letters: Counter[str] = field(default_factory=Counter)
    longest: int = 0

    @classmethod
    def of(cls, path: Path, most: int) -> "_Seen":
        seen = cls()
        for source in find(path):
            for entry in source.entries() if isinstance(source, Source) else ():
                if isinstance(entry, Entry) and (kind := kind_of(entry)):
                    seen._look(entry, kind, most)
        return seen

    def _look(self, entry: Entry, kind: str, most: int) -> None:
        kinds = self.names.setdefault(stem(entry), set())
        if entry.captions and "text" not in kinds and len(entry.captions[0]) <= most:
            self.letters.update(entry.captions[0])
            self.longest = max(self.longest, len(entry.captions[0]))
        kinds |= {kind, *(["text"] if entry.captions else [])}

    def usual(self) -> list[str]:
        counts = Counter(kind for kinds in self.names.values() for kind in kinds)
        return [name for name in PARTS if counts[name] >= max(1, USUAL * len(self.names))]


def survey(path: Path, size: Size, channels: int | None, bounds: Bounds) -> tuple[dict[str, Part], tuple[str, ...]]:
    """The parts that samples have, and sentences for the user.

    Raises:
        DataError: fewer than two.
    """
    seen, parts, notes = _Seen.of(path, bounds.letters), dict[str, Part](), list[str]()
    usual = seen.usual()
    if len(usual) < FEWEST:
        have = " and ".join(usual) or "none of these"
        raise DataError(f"'{path}' holds no samples of several parts: expected files of the same name but for its end, such "
                        f"as 17.png, 17.wav and 17.txt; most names have {have}")
    if "picture" in usual:
        found = Survey.of(find(path), path, size, channels)
        canvas = found.canvas
        parts["picture"] = Picture(
            height=canvas.height, width=canvas.width, channels=canvas.channels, patch=bounds.patch
        )
        notes += found.notes
    if "sound" in usual:
        plan = Plan.of(path, bounds.rate, 1, None)
        length = -int(-plan.length // bounds.hop) * bounds.hop
        parts["sound"] = Sound(rate=plan.rate, length=max(length, bounds.window), window=bounds.window, hop=bounds.hop)
        notes += plan.notes
    if "text" in usual:
        parts["text"] = Words(characters="".join(sorted(seen.letters)), letters=max(1, seen.longest))
        notes.append(f"texts have up to {seen.longest} of {len(seen.letters)} letters")
    return parts, tuple(notes)


@dataclass
class _Group:
    """What one name has."""

    name: str
    found: dict[str, NDArray[Any]] = field(default_factory=dict)
    failed: bool = False


def read_aligned(
    path: Path, parts: Mapping[str, Part], notes: tuple[str, ...], join: Join, details: Mapping[str, Any]
) -> Iterator[Record]:
    """A sample for each name that has all parts, and what the files were. Files of one name stand side by side.

    Raises:
        DataError: there is not one.
    """
    items, first, group = 0, None, _Group("")
    for source in find(path):
        if isinstance(source, Rejection):
            yield source
            continue
        used = False
        for entry in source.entries():
            if isinstance(entry, Rejection):
                yield entry
                continue
            if stem(entry) != group.name:
                for record in _finished(group, parts, join):
                    items, first = items + isinstance(record, Item), first or record
                    yield record
                group = _Group(stem(entry))
            rejected = _add(group, entry, parts)
            used |= rejected is None
            if rejected:
                first = first or rejected
                yield rejected
        if used:
            yield from origins(source, notes, details)
            notes = ()
    for record in _finished(group, parts, join):
        items, first = items + isinstance(record, Item), first or record
        yield record
    if not items:
        told = f" For example '{first.source}': {first.reason}." if isinstance(first, Rejection) else ""
        raise DataError(f"'{path}' holds no sample with {' and '.join(parts)}.{told}")


def _finished(group: _Group, parts: Mapping[str, Part], join: Join) -> Iterator[Item | Rejection]:
    lacking = [name for name in parts if name not in group.found]
    if not group.found or group.failed:
        return
    if lacking:
        yield Rejection(source=group.name, reason=f"it has no {' and no '.join(lacking)}")
    else:
        yield Item(source=group.name, data=join(group.found))


def _add(group: _Group, entry: Entry, parts: Mapping[str, Part]) -> Rejection | None:
    """Read an entry into its group; why it could not be."""
    kind, why = kind_of(entry), why_no_picture
    if kind is None or kind not in parts:
        return Rejection(source=entry.name, reason=f"neither {' nor '.join(parts)}")
    if kind in group.found:
        return Rejection(source=entry.name, reason=f"a second {kind} of its name: the first is taken")
    try:
        if kind == "picture":
            group.found[kind] = parts[kind].cut(picture_of(entry, parts[kind]))
        else:
            why = why_no_sound
            group.found[kind] = parts[kind].cut(sound_of(entry, parts[kind]))
        if "text" in parts and "text" not in group.found and entry.captions:
            group.found["text"] = parts["text"].cut(entry.captions[0])
    except UserError as error:
        group.failed = True
        return Rejection(source=entry.name, reason=str(error))
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        group.failed = True
        return Rejection(source=entry.name, reason=why(error))
    return None


def picture_of(entry: Entry, part: Part) -> NDArray[np.uint8]:
    """The pixels of an entry, brought to the size of its part."""
    assert isinstance(part, Picture)
    with open_picture(entry) as picture:
        return picture.pixels(Canvas(height=part.height, width=part.width, channels=part.channels))


def sound_of(entry: Entry, part: Part) -> NDArray[np.float32]:
    """The wave of an entry, at the rate of its part, no longer than that; what comes later is not read."""
    assert isinstance(part, Sound)
    found, length = list[NDArray[np.float32]](), 0
    for block in waves(entry, part.rate, 1, {}):
        found.append(block)
        length += block.shape[1]
        if length >= part.length:
            break
    return np.concatenate(found, axis=1)[:, : part.length]
