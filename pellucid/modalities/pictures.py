"""Pictures from any source, brought to one shape. What cannot be read is rejected with its reason."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.modalities.canvas import Size
from pellucid.modalities.open_picture import open_picture, why
from pellucid.modalities.survey import Survey, nothing
from pellucid.sources.entry import Entry
from pellucid.sources.find import find
from pellucid.sources.refused import RefusedError, reason
from pellucid.sources.source import Source


def read_pictures(
    path: Path, *, size: Size, channels: int | None, labels: bool, column: str | None = None
) -> Iterator[Record]:
    """The pictures in a folder of pictures, archives and tables, or those in the one file that `path` names.

    An `Origin` comes after the items of its file.

    Raises:
        DataError: not one of them can be read.
    """
    survey = Survey.of(find(path), path, size, channels)
    first: Rejection | None = None
    notes = survey.notes  # on the first source of which anything is read
    for source in find(path, column):
        reading = Reading(survey, labels, notes)
        for record in reading.records(source):
            if isinstance(record, Rejection):
                first = first or record
            yield record
        if reading.count:
            notes = ()
    if notes:
        raise nothing(path, first)


@dataclass
class Reading:
    """Of one source, by what a survey has settled; `notes` are for its origin, before those of its pictures."""

    survey: Survey
    labels: bool
    notes: tuple[str, ...] = ()
    count: int = 0
    found: dict[str, None] = field(default_factory=dict)

    def records(self, source: Source | Rejection) -> Iterator[Record]:
        if isinstance(source, Rejection):
            yield source
            return
        yield from self.items(source)
        if self.count:
            yield from self._origins(source)

    def items(self, source: Source) -> Iterator[Item | Rejection]:
        """The pictures in it, and what is none."""
        for entry in source.entries():
            yield entry if isinstance(entry, Rejection) else self._item(entry, source)

    def _item(self, entry: Entry, source: Source) -> Item | Rejection:
        try:
            with open_picture(entry) as picture:
                if not isinstance(picture, self.survey.kind):
                    raise RefusedError("an array among pictures, or a picture among arrays: read them apart")
                data = picture.pixels(self.survey.canvas)
        except Exception as error:  # decoders of damaged files raise whatever they come upon
            return Rejection(source=entry.name, reason=why(error))
        self.count += 1
        self.found |= dict.fromkeys((*picture.notes, *entry.notes))
        label = self.survey.label(entry, source) if self.labels else None
        return Item(source=entry.name, data=data, label=label, captions=entry.captions)

    def _origins(self, source: Source) -> Iterator[Origin | Rejection]:
        notes = (*self.notes, *self.found)
        for path in source.files():
            name = source.name if path == source.path else path.name
            try:
                yield Origin(source=name, size=path.stat().st_size, sha256=sha256(path), notes=notes)
            except OSError as error:  # gone since
                yield Rejection(source=name, reason=reason(error))
            notes = ()
