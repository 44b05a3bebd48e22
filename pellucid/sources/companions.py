"""What lies beside files and tells of them: metadata.jsonl or metadata.csv, and a .txt file of the same name."""

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from io import StringIO
from typing import Any, NamedTuple

from pellucid.core.items import Rejection
from pellucid.sources.walk import shown

CAPTIONS = ("caption", "captions", "text", "prompt", "description")  # keys and columns, the likeliest first
LABELS = ("label", "cls", "class", "class_name")
TABLES = ("metadata.jsonl", "metadata.csv")


class Told(NamedTuple):
    """What is said of one file; of several captions each is as good as the others."""

    captions: tuple[str, ...] = ()
    label: str | None = None


NOTHING = Told()


@dataclass(eq=False)
class Companions:
    """Of the files in a folder or an archive; places are relative to it, with slashes.

    As in the `imagefolder` of the `datasets` library, a row of a metadata file names its picture as `file_name`, relative
    to where that file lies.

    Arguments:
        names: the names of the files in a folder; "" is the outermost.
        read: the content of a file, None if there is none.
        column: the key or column of a metadata file that holds captions; None: of the known ones the likeliest, or the
            text beside a file.
    """

    names: Callable[[str], Iterable[str]]
    read: Callable[[str], bytes | None]
    column: str | None = None
    _tables: dict[str, dict[str, Told]] = field(default_factory=dict)
    _stems: tuple[str, Mapping[str, int]] = ("/", {})
    _met: set[str] = field(default_factory=set)

    def is_one(self, place: str) -> bool:
        """Whether a file is the text beside another of the same name."""
        folder, name = _split(place)
        return name.lower().endswith(".txt") and self._alike(folder, name) > 1

    def told(self, place: str) -> Told:
        """What the nearest metadata file that names this file says of it, or else the text beside it."""
        folder, name = _split(place)
        where: str | None = folder
        while where is not None:
            found = self._table(where).get(place)
            if found is not None:
                self._met.add(place)
                return found
            where = _split(where)[0] if where else None
        if self.column is None and self._alike(folder, name) > 1:
            text = self.read(place.removesuffix(name) + _stem(name) + ".txt")
            if text is not None:
                return Told(captions=_captions(text.decode("utf-8", "replace")))
        return NOTHING

    def lost(self) -> Iterator[Rejection]:
        """Of what metadata files name, the files that nothing was asked of: they are not there."""
        for folder, table in self._tables.items():
            for place in table:
                if place not in self._met:
                    yield Rejection(source=shown(place), reason=f"named in '{folder or '.'}' by its metadata, but not there")

    def _alike(self, folder: str, name: str) -> int:
        """How many files of a folder share the name up to its end; one folder's names are kept."""
        if self._stems[0] != folder:
            counts: dict[str, int] = {}
            for other in self.names(folder):
                counts[_stem(other)] = counts.get(_stem(other), 0) + 1
            self._stems = (folder, counts)
        return self._stems[1].get(_stem(name), 0)

    def _table(self, folder: str) -> dict[str, Told]:
        if folder not in self._tables:
            self._tables[folder] = dict(self._rows(folder))
        return self._tables[folder]

    def _rows(self, folder: str) -> Iterator[tuple[str, Told]]:
        prefix = f"{folder}/" if folder else ""
        for name in TABLES:
            content = self.read(prefix + name)
            for row in _parse(name, content.decode("utf-8-sig", "replace")) if content else ():
                file = row.get("file_name")
                if isinstance(file, str):
                    yield prefix + file.removeprefix("./"), told(row, self.column)


def told(row: Mapping[str, Any], column: str | None = None) -> Told:
    """What a row of a table, or the .json beside a file, says: a caption or a list of them, in this column or in the
    likeliest one, and a label.
    """
    keys = CAPTIONS if column is None else (column,)
    caption = next((row[key] for key in keys if isinstance(row.get(key), str | list)), "")
    label = next((str(row[key]) for key in LABELS if isinstance(row.get(key), str | int)), "")
    return Told(_captions(*(caption if isinstance(caption, list) else [caption])), label or None)


def _captions(*texts: Any) -> tuple[str, ...]:
    """Captions, each on one line, without those that are empty."""
    lines = (shown(" ".join(text.split())) for text in texts if isinstance(text, str))
    return tuple(line for line in lines if line)


def _parse(name: str, text: str) -> Iterator[dict[str, Any]]:
    """The rows of a metadata file that can be read."""
    if name.endswith(".csv"):
        try:
            yield from csv.DictReader(StringIO(text))
        except csv.Error:
            return
    else:
        for line in text.splitlines():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                continue
            if isinstance(row, dict):
                yield row


def _split(place: str) -> tuple[str, str]:
    folder, _, name = place.rpartition("/")
    return folder, name


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
