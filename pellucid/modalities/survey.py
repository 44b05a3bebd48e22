"""A first look at all pictures of a data set, from their headers, which decides what all of them are brought to."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from pellucid.core.errors import DataError
from pellucid.core.items import Rejection
from pellucid.modalities.canvas import MODES, Canvas, Size
from pellucid.modalities.levels import Levels, black_and_white
from pellucid.modalities.open_picture import KINDS, open_picture, why
from pellucid.modalities.picture import Picture
from pellucid.sources.entry import Entry
from pellucid.sources.source import Source


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is settled before the first picture is decoded.

    Arguments:
        canvas: what every picture is brought to.
        kind: of picture that most are; arrays among pictures in files are something else, and the other way round.
        common: folders that all pictures of all archives lie in, 0 or 1, and which are therefore no label.
        notes: sentences for the user.
    """

    canvas: Canvas
    kind: type[Picture]
    common: int
    notes: tuple[str, ...]

    @classmethod
    def of(
        cls, found: Iterable[Source | Rejection], where: Path | str, size: Size, channels: int | None
    ) -> "Survey":
        """In memory that grows with the number of different sizes and labels only.

        Arguments:
            found: sources to look at.
            where: they lie, for messages.

        Raises:
            DataError: no picture in them.
            ConfigError: a size or number of channels that cannot be had.
        """
        kinds: defaultdict[type[Picture], _Seen] = defaultdict(_Seen)
        rejected: Rejection | None = None
        for source in found:
            for entry in source.entries() if isinstance(source, Source) else [source]:
                refused = _look(entry, kinds)
                rejected = rejected or refused
        if not any(seen.sizes for seen in kinds.values()):
            raise nothing(where, rejected)
        kind, seen = max(kinds.items(), key=lambda pair: pair[1].sizes.total())
        canvas, note = Canvas.choose(seen.sizes, seen.choose_channels(channels), size)
        levels, ranges = seen.levels(where)
        common = int(len(seen.tops) == 1 and None not in seen.tops)
        return cls(canvas=replace(canvas, levels=levels), kind=kind, common=common, notes=(note, *ranges))

    def label(self, entry: Entry, source: Source) -> str | None:
        """What the entry says, else the folder in the archive, else the folder in which the archive lies."""
        inner = entry.folders[self.common] if len(entry.folders) > self.common else None
        return entry.label or inner or source.label


@dataclass
class _Seen:
    """Of one kind of picture."""

    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    tops: set[str | None] = field(default_factory=set)
    extremes: dict[str, tuple[float, float]] = field(default_factory=dict)

    def add(self, picture: Picture, entry: Entry) -> None:
        self._widen(picture)
        self.sizes[picture.size] += 1
        self.channels[picture.channels] += 1
        self.tops.add(entry.folders[0] if entry.folders else None)

    def _widen(self, picture: Picture) -> None:
        values = picture.values()
        if values is None or values.dtype == np.uint8:
            return
        least, most = float(values.min()), float(values.max())
        low, high = self.extremes.get(values.dtype.name, (least, most))
        self.extremes[values.dtype.name] = min(low, least), max(high, most)

    def choose_channels(self, wanted: int | None) -> int:
        found: Iterable[int] = self.channels
        if wanted is None:
            return max(found) if set(found) <= {1, 3} else self.channels.most_common(1)[0][0]
        if wanted not in (*MODES, *found):
            raise DataError(
                f"Pictures are read as grey (1 channel), RGB (3) or RGBA (4), not with {wanted} channels; those here have "
                f"{' or '.join(map(str, sorted(found)))}."
            )
        return wanted

    def levels(self, where: Path | str) -> tuple[Levels, list[str]]:
        known, notes = {}, []
        for name, (least, most) in self.extremes.items():
            try:
                low, high, note = black_and_white(np.dtype(name), least, most)
            except DataError as error:
                raise DataError(f"The arrays in '{where}' hold {error}") from None
            known[name] = low, high
            notes.append(note)
        return Levels(known=known), notes


def _look(entry: Entry | Rejection, kinds: defaultdict[type[Picture], _Seen]) -> Rejection | None:
    """Take note of a picture, or say why not, as reading it will say again."""
    if isinstance(entry, Rejection):
        return entry
    try:
        with open_picture(entry) as picture:
            kinds[type(picture)].add(picture, entry)
    except Exception as error:
        return Rejection(source=entry.name, reason=why(error))
    return None


def nothing(where: Path | str, example: Rejection | None) -> DataError:
    """The error for a data set without a picture."""
    why = f"For example '{example.source}': {example.reason}." if example else "It is empty."
    return DataError(f"'{where}' holds no picture that can be read ({KINDS}; in folders, zip, tar, parquet). {why}")
