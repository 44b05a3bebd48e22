"""Texts in files: plain ones, cut into documents as they are written, and JSON lines."""

import json
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from pellucid.core.errors import DataError
from pellucid.core.items import Rejection
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST

Split = Literal["auto", "file", "paragraph", "line"]
PLAIN, LINES = (".txt", ".text", ".md"), (".jsonl", ".ndjson")
SUFFIXES = PLAIN + LINES
"""Of files of text."""
PERCENT = "%"
"""A line of this alone stands between texts, as in the files of `fortune`."""
TEXTS = ("text", "content", "body", "sentence", "poem", "quote", "article")
LABELS = ("label", "style", "author", "category", "class", "genre")
"""Names of columns, the likeliest first."""
PAIRS = (("source", "target"), ("src", "tgt"), ("input", "output"), ("question", "answer"), ("prompt", "response"),
         ("document", "summary"), ("text", "summary"))  # fmt: skip
"""Names of two columns of which the second follows from the first."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """One text, where it stands ("poems.txt#3"), its label, if the file says one, and what it is to be made from."""

    name: str
    text: str
    label: str | None = None
    source: str | None = None


def read_documents(entry: Entry, split: Split, column: str | None) -> Iterator[Document | Rejection]:
    """Every text of an entry that is not empty; a rejection for each line of JSON that has none.

    Arguments:
        column: that holds labels; None: the likeliest.

    Raises:
        DataError: not text, or without any; the message goes on from the entry's name.
    """
    text = _text(entry)
    if entry.suffix in LINES:
        yield from _of_lines(entry.name, text, column)
        return
    parts = [part for part in _parts(text, split) if part.strip()]
    if not parts:
        raise DataError("nothing in it")
    for place, part in enumerate(parts):
        yield Document(name=entry.name if len(parts) == 1 else f"{entry.name}#{place}", text=part)


def _text(entry: Entry) -> str:
    with entry.open() as stream:
        return decoded(stream.read(LARGEST + 1))


def decoded(data: bytes) -> str:
    """Text from the bytes of a file, its lines ending as they do here.

    Raises:
        DataError: too large, or no text in UTF-8; the message goes on from the file's name.
    """
    if len(data) > LARGEST:
        raise DataError(f"larger than {LARGEST >> 20} MB")
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raise DataError("not UTF-8 but UTF-16; save it as UTF-8")
    if b"\0" in data:
        raise DataError("not text: it holds the byte 0")
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: byte {error.start} is {data[error.start]:#04x}; save it as UTF-8") from None


def _parts(text: str, split: Split) -> list[str]:
    """Documents without line breaks around them; where the whole is one it is as it is, without the break that ends it."""
    lines = text.split("\n")
    if split == "line":
        return lines
    if split == "paragraph":
        return _between(lines, lambda line: not line.strip())
    if split == "auto" and PERCENT in lines:
        return _between(lines, lambda line: line == PERCENT)
    return [text.removesuffix("\n")]


def _between(lines: list[str], is_border: Any) -> list[str]:
    found: list[list[str]] = [[]]
    for line in lines:
        if is_border(line):
            found.append([])
        else:
            found[-1].append(line)
    return ["\n".join(part).strip("\n") for part in found]


def _of_lines(name: str, text: str, column: str | None) -> Iterator[Document | Rejection]:
    """Of JSON lines, each an object with a text, or a text itself."""
    found = False
    for place, line in enumerate(text.split("\n")):
        if not line.strip():
            continue
        where = f"{name}#{place}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield Rejection(source=where, reason="not JSON")
            continue
        row = {"text": row} if isinstance(row, str) else row if isinstance(row, dict) else {}
        pair = next((pair for pair in PAIRS if pair[0] in row and pair[1] in row), None)
        words, source = (row[pair[1]], row[pair[0]]) if pair else (_first(row, TEXTS), "")
        if problem := _problem(row, words, source, pair):
            yield Rejection(source=where, reason=problem)
            continue
        label = row.get(column) if column is not None else _first(row, LABELS)
        found = True
        yield Document(
            name=where, text=words, label=None if label is None else str(label), source=source if pair else None
        )
    if not found:
        raise DataError("no line of it has a text")


def _problem(row: dict[str, Any], words: Any, source: Any, pair: tuple[str, str] | None) -> str:
    """Why a line is no text, or no pair of texts; empty where it is."""
    if pair:
        texts = zip(pair, (source, words), strict=True)
        empty = [name for name, text in texts if not isinstance(text, str) or not text.strip()]
        return f"a pair without a {empty[0]}" if empty else ""
    if words is not None:
        return "" if isinstance(words, str) and words.strip() else "no text"
    halves = (f"'{one}' without '{other}'" for pair in PAIRS for one, other in (pair, pair[::-1]) if one in row)
    return next(halves, f"no text under any of {', '.join(TEXTS)}")


def _first(row: dict[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) is not None), None)
