"""Columns that hold pictures, labels and captions, found by what Hugging Face writes beside them, by type and by name."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import IO, Any

from pellucid.core.errors import UserError
from pellucid.sources.companions import CAPTIONS, told
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST, too_large
from pellucid.sources.refused import RefusedError

PICTURES = ("image", "img", "picture", "jpg", "png", "webp", "pixel_values", "bytes")  # the likeliest first
WORDS = 1 << 20  # bytes of a label or of captions; more is neither
TOO_LONG = f"labels and captions of more than {WORDS:,} bytes are left out"
LABELS = ("label", "labels", "cls", "class", "fine_label", "target", "y")


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where pictures and labels stand.

    Arguments:
        picture: a column of bytes, or of {bytes, path}.
        label: a column of numbers or words; None when there is none.
        caption: a column of texts or lists of them; None when there is none.
        names: of the classes that numbers stand for; empty when numbers stay numbers.
        note: a sentence for the user about the choice among several.
    """

    picture: str
    label: str | None
    caption: str | None
    names: tuple[str, ...]
    note: str

    @classmethod
    def find(cls, schema: Any, column: str | None = None) -> "Columns":
        """From an Arrow schema.

        Arguments:
            column: that holds captions; None: the likeliest.

        Raises:
            RefusedError: no column of pictures, or not this one of captions, with the columns there are.
        """
        if column is not None and not (column in schema.names and _holds_text(schema.field(column).type)):
            raise RefusedError(f"no column '{column}' of text among {', '.join(schema.names) or 'none'}")
        features = _features(schema)
        pictures = [name for name in schema.names if features.get(name, {}).get("_type") == "Image"]
        pictures = pictures or [field.name for field in schema if _holds_bytes(field.type)]
        if not pictures:
            raise RefusedError(f"no column of pictures as bytes among {', '.join(schema.names) or 'none'}")
        classes = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
        classes = classes or [field.name for field in schema if field.name in LABELS and _holds_labels(field.type)]
        picture, label = _likeliest(pictures, PICTURES), _likeliest(classes, LABELS) if classes else None
        several = len(pictures) > 1 or len(classes) > 1
        note = f"pictures from column '{picture}'" + (f", labels from '{label}'" if label else "") if several else ""
        names = features.get(label, {}).get("names") or () if label else ()
        texts = [name for name in CAPTIONS if name in schema.names and _holds_text(schema.field(name).type)]
        caption = column or next(iter(texts), None)
        return cls(picture=picture, label=label, caption=caption, names=tuple(map(str, names)), note=note)

    @property
    def used(self) -> list[str]:
        """Names of the columns to be read."""
        return [name for name in (self.picture, self.label, self.caption) if name]

    def entries(self, batches: Iterable[Any], name: str, *, local: bool = False) -> Iterator[Entry]:
        """An entry for each row of record batches or tables; files that rows only name are opened if `local`."""
        index = 0
        for batch in batches:
            labels = batch.column(self.label) if self.label else None
            captions = batch.column(self.caption) if self.caption else None
            for row, value in enumerate(batch.column(self.picture)):
                words = [None if held is None else held[row] for held in (labels, captions)]
                label, caption = (word.as_py() if word is not None and _size(word) <= WORDS else None for word in words)
                left_out = any(word is not None and _size(word) > WORDS for word in words)
                yield Entry(
                    name=f"{name}#{index}", open=partial(_open, value, local), suffix=None, label=self._named(label),
                    captions=told({"caption": caption}).captions,
                    notes=(*([self.note] if self.note else []), *([TOO_LONG] if left_out else [])),
                )  # fmt: skip
                index += 1

    def _named(self, value: Any) -> str | None:
        if isinstance(value, int) and self.names:
            return self.names[value] if 0 <= value < len(self.names) else None  # -1 marks what has no label
        return None if value is None else str(int(value) if isinstance(value, bool) else value)


def _open(value: Any, local: bool) -> IO[bytes]:
    """The bytes of a cell."""
    if (size := _size(value)) > LARGEST:
        raise RefusedError(too_large(size))
    found = value.as_py()
    data, path = (found.get("bytes"), found.get("path")) if isinstance(found, dict) else (found, None)
    if data is None and path and local:
        return Path(path).open("rb")
    if data is None:
        raise RefusedError(f"no bytes, only the path '{path}' of a file elsewhere" if path else "an empty cell")
    return BytesIO(data)


def _size(value: Any) -> int:
    """Bytes of a cell, from its place in memory: nothing is copied."""
    from pyarrow import BinaryScalar, DictionaryScalar, ListScalar, StructScalar

    if not value.is_valid:
        return 0
    if isinstance(value, BinaryScalar):  # texts among them
        return int(value.as_buffer().size)
    if isinstance(value, DictionaryScalar):
        return _size(value.value)
    if isinstance(value, StructScalar):
        return sum(map(_size, value.values()))
    return int(value.values.nbytes) if isinstance(value, ListScalar) else 0


def _features(schema: Any) -> dict[str, dict[str, Any]]:
    """What the `datasets` library says of the columns, if it wrote the table."""
    try:
        found = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    return {name: facts for name, facts in found.items() if isinstance(facts, dict)} if isinstance(found, dict) else {}


def _holds_bytes(kind: Any) -> bool:
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_bytes(kind.field("bytes").type)
    return any(is_kind(kind) for is_kind in (types.is_binary, types.is_large_binary, types.is_fixed_size_binary))


def _holds_labels(kind: Any) -> bool:
    from pyarrow import types

    is_kinds = (types.is_integer, types.is_boolean, types.is_string, types.is_large_string)
    return any(is_kind(kind) for is_kind in is_kinds) or (types.is_dictionary(kind) and _holds_labels(kind.value_type))


def _holds_text(kind: Any) -> bool:
    from pyarrow import types

    lists = types.is_list(kind) or types.is_large_list(kind)
    return _holds_text(kind.value_type) if lists else types.is_string(kind) or types.is_large_string(kind)


def _likeliest(names: list[str], known: tuple[str, ...]) -> str:
    return next((name for name in known if name in names), names[0])


def missing(package: str, what: str) -> UserError:
    """The error for a reader that is not installed."""
    return UserError(f"{what} is read by the package '{package}': pip install 'pellucid[data]'")
