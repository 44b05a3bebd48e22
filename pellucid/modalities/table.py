"""A table file as columns of numbers, of words and of times."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError, UnsupportedError
from pellucid.core.reason import reason
from pellucid.modalities.clock import Clock, read_clock
from pellucid.modalities.delimited import MISSING, NUMBER, OUT_OF_PROPORTION, Delimited, allowed, distinct, read_delimited

TEXT, COLUMNAR = (".csv", ".tsv", ".csv.gz", ".tsv.gz"), (".parquet",)
SUFFIXES = TEXT + COLUMNAR
"""How the names of such files end, in small letters."""
MOSTLY = 0.5
"""Share of a column's filled cells that are numbers, from which it is one of numbers."""
SHOWN = 3
BATCH = 256
"""Rows of a Parquet file in memory at once, before they are cells."""
COUNTERS = frozenset({"", "index", "id", "no", "row", "rownames", "unnamed: 0", "obs", "t", "time", "step"})
"""Names of columns that only count the rows."""
TIMES = ("date", "time", "month", "year", "day", "epoch", "unix")
"""Parts of the names of columns of times that are written as numbers."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of equal length T.

    Attributes:
        numbers: (T,) by name, NaN where a value is missing.
        words: cells of the other columns, by name.
        clock: times, if a column tells them, and `when`, its name.
        notes: what was found, in sentences for the user.
    """

    numbers: dict[str, Numbers]
    words: dict[str, list[str]] = field(default_factory=dict)
    clock: Clock | None = None
    when: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.numbers.values())))

    def rows(self, chosen: NDArray[np.int64]) -> "Table":
        """Some rows, in the order given."""
        return replace(
            self, numbers={name: values[chosen] for name, values in self.numbers.items()},
            words={name: [cells[row] for row in chosen] for name, cells in self.words.items()},
            clock=self.clock and self.clock.rows(chosen),
        )  # fmt: skip


def read_table(path: Path, wanted: Sequence[str] = ()) -> Table:
    """The file's columns; constant, empty and counting ones included or left out as the notes say.

    Arguments:
        wanted: columns of numbers that are kept even if nothing stands in them.

    Raises:
        DataError: damaged, or without any column of numbers; the message goes on from the file's name.
    """
    state = path.stat()
    return _read(path, tuple(wanted), state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=1)
def _read(path: Path, wanted: tuple[str, ...], changed: int, size: int) -> Table:  # noqa: ARG001
    """The last one is kept: a large file is looked at before its windows are made."""
    cells = _columnar(path) if path.name.lower().endswith(COLUMNAR) else read_delimited(path)
    numbers, words, notes = dict[str, Numbers](), dict[str, list[str]](), list(cells.notes)
    clock, when = None, ""
    for name, column in zip(cells.names, cells.columns, strict=True):
        filled = [cell for cell in column if cell.lower() not in MISSING]
        share = sum(NUMBER.fullmatch(cell) is not None for cell in filled) / len(filled) if filled else 0.0
        times = read_clock(column) if clock is None and filled and (share == 0 or _tells_time(name)) else None
        if times is not None:
            clock, when = times, name
        elif name in wanted:
            numbers[name], strange = _numbers(column)
            notes += [f"column '{name}': {strange}"] if strange else []
        elif not filled:
            notes.append(f"column '{name}' is empty: left out")
        elif share < MOSTLY:
            words[name] = column
            notes.append(f"column '{name}' holds words ({filled[0][:20]!r}): not modelled")
        else:
            values, strange = _numbers(column)
            if _counts(name, values):
                notes.append(f"column '{name}' only counts: left out")
                continue
            numbers[name] = values
            notes += [f"column '{name}': {strange}"] if strange else []
    if not numbers:
        raise DataError(f"no column of numbers among {', '.join(map(repr, cells.names))}")
    return Table(numbers=numbers, words=words, clock=clock, when=when, notes=tuple(notes))


def _numbers(column: list[str]) -> tuple[Numbers, str]:
    """Values, and what was taken as missing though something stands there."""
    found, strange = np.full(len(column), np.nan), []
    for row, cell in enumerate(column):
        if NUMBER.fullmatch(cell) and abs(float(cell)) < np.inf:
            found[row] = float(cell)
        elif cell.lower() not in MISSING:
            strange.append(cell)
    if not strange:
        return found, ""
    some = ", ".join(repr(cell[:20]) for cell in list(dict.fromkeys(strange))[:SHOWN])
    return found, f"{len(strange)} cells are no numbers ({some}): taken as missing"


def _tells_time(name: str) -> bool:
    return any(word in name.lower() for word in TIMES)


def _counts(name: str, values: Numbers) -> bool:
    """Whether a column numbers the rows and is called like that: by ones where it has no name."""
    steps = np.unique(np.diff(values))
    if len(values) < 3 or len(steps) > 1 or steps[0] <= 0:
        return False
    return name.lower().strip() in COUNTERS or (name.startswith("column ") and float(steps[0]) == 1)


def _columnar(path: Path) -> Delimited:
    """A Parquet file as cells, numbers written so that they are read back exactly."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError:
        raise UnsupportedError("a Parquet file needs pyarrow: pip install 'pellucid[data]'") from None
    try:
        with ParquetFile(path) as file:
            return _cells(file, allowed(path.stat().st_size))
    except DataError:
        raise
    except Exception as error:  # of a damaged file anything may be raised
        raise DataError(f"damaged: {reason(error)}") from None


def _cells(file: Any, most: int) -> Delimited:
    """Rows by the batch, so that few bytes that stand for many are found out before they fill the memory."""
    known = file.schema_arrow.names
    places = [place for place, name in enumerate(known) if not name.startswith("__index_level")]
    names = distinct([known[place] for place in places], len(places))
    columns: list[list[str]] = [[] for _ in places]
    held = file.metadata.num_rows * len(known)  # as it says, which need not be so
    if held > most:
        raise DataError(OUT_OF_PROPORTION.format(most))
    for batch in file.iter_batches(BATCH, use_threads=False):
        held += batch.nbytes
        if held > most:
            raise DataError(OUT_OF_PROPORTION.format(most))
        for cells, place in zip(columns, places, strict=True):
            cells += [_cell(value) for value in batch.column(place).to_pylist()]
    return Delimited(names=names, columns=columns, notes=())


def is_of_numbers(path: Path) -> bool:
    """Whether a Parquet file has columns of numbers, and nothing that could be pictures."""
    try:
        from pyarrow import ArrowException, types
        from pyarrow.parquet import read_schema
    except ImportError:
        return False
    try:
        kinds = read_schema(path).types
    except (OSError, ArrowException):
        return False
    nested = any(types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind) for kind in kinds)
    return not nested and any(types.is_floating(kind) or types.is_integer(kind) for kind in kinds)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(int(value))
    return value.isoformat(" ") if isinstance(value, datetime) else str(value)
