"""Delimited text (CSV) as columns of cells; separator, header and decimal sign are found by looking, and said."""

import csv
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from pathlib import Path

from pellucid.core.errors import DataError

SEPARATORS = (";", "\t", "|", ",")
"""Where two fit alike, the first: commas may be decimal."""
GLANCE = 50  # rows that are looked at before the separator is settled
FREE, PROPORTION = 1 << 24, 50  # bytes to which a packed file may grow, and so many more for each of its own
LONGEST = 1 << 20  # letters of a cell; more is no table
WIDEST = 1 << 16  # columns; more is no table
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
YEAR = re.compile(r"[12]\d{3}")
COMMA = re.compile(r"[+-]?\d+,\d+")
MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", ".", "?"})
"""What stands, in small letters, where there is no value."""

OUT_OF_PROPORTION = "more than {:,} bytes when unpacked, out of proportion to its size: if that is so, save it as plain CSV"

Rows = list[tuple[int, list[str]]]
"""Cells with the number of the line on which they end."""


@dataclass(frozen=True, kw_only=True)
class Delimited:
    """Columns of text, each as long as the others.

    Attributes:
        names: no two alike.
        columns: cells without spaces around them.
        notes: what was found, in sentences for the user.
    """

    names: tuple[str, ...]
    columns: list[list[str]]
    notes: tuple[str, ...]


def read_delimited(path: Path) -> Delimited:
    """The whole file. A row with too few or too many cells is kept as one without values, so that time goes on.

    Raises:
        DataError: not UTF-8, binary, empty, or no table.
    """
    text = _text(path)
    separator, rows = _split(text)
    width = _width(rows)
    if len(rows) < 2 or width < 1:
        raise DataError(f"{len(rows)} rows: expected a header and at least one row of values")
    named, notes = not _is_data(rows[0][1], separator), []
    if not named:
        notes.append("no header: columns are named by their place")
    names = distinct(rows[0][1] if named else (), width)
    body = rows[1:] if named else rows
    if uneven := [line for line, cells in body if len(cells) != width]:
        notes.append(f"{_lines(uneven)} had other than {width} cells: taken as missing")
    columns = [[cells[place] if len(cells) == width else "" for _, cells in body] for place in range(width)]
    if separator != "," and any(COMMA.fullmatch(cell) for column in columns for cell in column):
        columns = [[cell.replace(",", ".") if COMMA.fullmatch(cell) else cell for cell in column] for column in columns]
        notes.append("decimal commas")
    return Delimited(names=names, columns=columns, notes=tuple(notes))


def _text(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix.lower() == ".gz":
        data = _unpacked(data)
    if not data.strip():
        raise DataError("nothing in it")
    if b"\0" in data:
        raise DataError("not text, whatever its name says")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8: byte {error.start} is {data[error.start]:#04x}; save it as UTF-8") from None


def allowed(packed: int) -> int:
    """Bytes to which a table of `packed` bytes may unpack; each takes some forty in memory."""
    return FREE + PROPORTION * packed


def _unpacked(data: bytes) -> bytes:
    """Of a gzip file, all members."""
    found, most = b"", allowed(len(data))
    while data:
        unpacking = zlib.decompressobj(wbits=31)
        try:
            found += unpacking.decompress(data, most - len(found))
        except zlib.error as error:
            raise DataError(f"damaged: {error}") from None
        if unpacking.unconsumed_tail or len(found) >= most:
            raise DataError(OUT_OF_PROPORTION.format(most))
        if not unpacking.eof:
            raise DataError("damaged: it ends too early")
        data = unpacking.unused_data  # a file may have several members
    return found


def _split(text: str) -> tuple[str, Rows]:
    """The separator under which most of the first rows have the same number of cells, more than one if possible."""

    def agreement(separator: str) -> tuple[bool, int, int]:
        widths = Counter(len(cells) for _, cells in islice(_rows(text, separator, strict=False), GLANCE))
        (width, count), *_ = widths.most_common(1) or [(0, 0)]
        return width > 1, count, width

    separator = max(SEPARATORS, key=agreement)
    return separator, list(_rows(text, separator))


def _rows(text: str, separator: str, *, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(LONGEST)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=strict)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, [cell.strip() for cell in cells]
    except csv.Error as error:
        raise DataError(f"line {reader.line_num}: {error}") from None


def _width(rows: Rows) -> int:
    """Of most rows."""
    return Counter(len(cells) for _, cells in rows).most_common(1)[0][0] if rows else 0


def _is_data(first: Sequence[str], separator: str) -> bool:
    """Whether the first row has numbers, as no header does but one of years."""
    cells = [cell.replace(",", ".") if separator != "," and COMMA.fullmatch(cell) else cell for cell in first]
    numbers = [cell for cell in cells if NUMBER.fullmatch(cell) and "inf" not in cell.lower()]
    years = [int(cell) for cell in numbers if YEAR.fullmatch(cell)]
    rising = len(years) == len(numbers) > 1 and years == list(range(years[0], years[0] + len(years)))
    return bool(numbers) and not rising


def distinct(names: Sequence[str], width: int) -> tuple[str, ...]:
    """Names that differ: what has none is called by its place, and what is there twice is numbered.

    Raises:
        DataError: there are too many.
    """
    if width > WIDEST:
        raise DataError(f"{width:,} columns, where {WIDEST:,} are the most: does time run to the right, not downwards?")
    found, numbers = dict[str, None](), dict[str, int]()
    for place in range(width):
        wanted = name = (names[place] if place < len(names) else "") or f"column {place + 1}"
        number = numbers.get(wanted, 2)  # those below are taken
        while name in found:
            name, number = f"{wanted} {number}", number + 1
        found[name], numbers[wanted] = None, number
    return tuple(found)


def _lines(numbers: Sequence[int]) -> str:
    """A few line numbers in words.

    >>> _lines([4]), _lines([4, 7, 9, 12, 13])
    ('line 4', '5 lines (4, 7, 9, ...)')
    """
    if len(numbers) == 1:
        return f"line {numbers[0]}"
    more = ", ..." if len(numbers) > 3 else ""
    return f"{len(numbers)} lines ({', '.join(map(str, numbers[:3]))}{more})"
