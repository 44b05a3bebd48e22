"""What a table tells of: series in the order of time, gaps filled with missing values."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError, nearest
from pellucid.modalities.clock import Clock
from pellucid.modalities.table import Table

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class History:
    """One series: T rows at steady distances.

    Attributes:
        name: of the group that it is, empty if the whole table is one series.
        values: (T, C), NaN where missing, one column for each of the table's numbers.
        clock: times of the rows.
        labels: of each row; None without any.
        begins: the row of the table with which it begins, counted from 1, the header not among them.
        when: name of the column of times.
        of: name of the column by which series are told apart.
        beside: cells of the other columns of the file, by name; empty in rows that were put in.
    """

    name: str
    values: Values
    clock: Clock | None
    labels: Sequence[str] | None
    begins: int = 1
    when: str = ""
    of: str = ""
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def times(self, ahead: int = 0) -> list[str]:
        """When its rows are, as the file writes it, and `ahead` rows more; numbers from 1 on where no column tells."""
        if self.clock is None:
            return [str(row + 1) for row in range(len(self.values) + ahead)]
        return [*self.clock.cells, *self.clock.after(ahead)]


def histories(table: Table, *, group: str = "", label: str | None = None) -> tuple[list[History], list[str]]:
    """The series of a table, and what was done, in sentences for the user.

    Rows whose times fall are turned round, and times that are missing from a steady rhythm are put in with missing values.

    Arguments:
        group: the column by which rows belong together; "": the first column of words within which times rise, if they do
            not rise as they stand.
        label: the column that holds labels; None: groups are labels.

    Raises:
        DataError: a column that is not there, or times in no order; the message goes on from the file's name.
    """
    for name in (group, label):
        if name and name not in table.words and name not in table.numbers:
            known = [*table.words, *table.numbers]
            raise DataError(f"no column '{name}': {nearest(name, known)}")
    notes = list[str]()
    if not group and table.clock is not None and not (table.clock.rises or table.clock.falls):
        group = _finds_group(table)
        notes.append(f"each '{group}' is a series of its own")
    labels = _cells(table, label) if label else _cells(table, group) if group else None
    found = []
    for name, rows in _parts(table, group):
        part, own = table.rows(rows), [labels[row] for row in rows] if labels else None
        found.append(replace(_in_order(part, name, own, int(rows[0]) + 1, notes), of=group))
    return found, list(dict.fromkeys(notes))


def _parts(table: Table, group: str) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Names of the groups in the order of first sight, and their rows."""
    if not group:
        yield "", np.arange(len(table))
        return
    places: dict[str, list[int]] = {}
    for row, cell in enumerate(_cells(table, group)):
        places.setdefault(cell, []).append(row)
    yield from ((name, np.array(rows)) for name, rows in places.items())


def _in_order(part: Table, name: str, labels: list[str] | None, begins: int, notes: list[str]) -> History:
    values, clock, words = np.stack(list(part.numbers.values()), axis=1), part.clock, part.words
    of = f" of '{name}'" if name else ""
    if clock is not None and clock.falls:
        values, clock = values[::-1], clock.rows(np.arange(len(values))[::-1])
        labels, words = labels and labels[::-1], {key: cells[::-1] for key, cells in words.items()}
        notes.append("newest first: turned round")
    if clock is not None and not clock.rises:
        raise DataError(_falls(part.when, clock, of))
    places = clock.places() if clock is not None else None
    if clock is not None and places is not None and (missing := int(places[-1]) + 1 - len(places)):
        if missing > 10 * len(places):
            raise DataError(f"times in '{part.when}'{of} have gaps that are {missing:,} rows long, of {len(places):,} rows")
        values, clock, labels = _spaced(values, clock, labels, places)
        words = {key: _put_in(cells, places) for key, cells in words.items()}
        notes.append("times that are missing put in as rows without values")
    return History(name=name, values=values, clock=clock, labels=labels, begins=begins, when=part.when, beside=words)


def _spaced(
    values: Values, clock: Clock, labels: list[str] | None, places: NDArray[np.int64]
) -> tuple[Values, Clock, list[str] | None]:
    """With rows put in so that the row i stands at places[i]."""
    count = int(places[-1]) + 1
    wide = np.full((count, values.shape[1]), np.nan)
    wide[places] = values
    before = np.searchsorted(places, np.arange(count), side="right") - 1
    return wide, clock.spaced(places), labels and [labels[row] for row in before]


def _put_in(cells: list[str], places: NDArray[np.int64]) -> list[str]:
    """Cells at these places, empty ones between."""
    there = dict(zip(places.tolist(), cells, strict=True))
    return [there.get(place, "") for place in range(int(places[-1]) + 1)]


def _finds_group(table: Table) -> str:
    """The first column of words within each of which times rise, or fall."""
    assert table.clock is not None
    for name, cells in table.words.items():
        if len(set(cells)) < len(cells):
            parts = (table.clock.rows(rows) for _, rows in _parts(table, name))
            if all(part.rises or part.falls for part in parts):
                return name
    raise DataError(_falls(table.when, table.clock))


def _cells(table: Table, name: str) -> list[str]:
    if name in table.words:
        return table.words[name]
    return [repr(float(value)).removesuffix(".0") for value in table.numbers[name]]


def _falls(when: str, clock: Clock, of: str = "") -> str:
    """What is wrong with times that do not rise."""
    place = int(np.flatnonzero(np.diff(clock.known) <= np.timedelta64(0))[0])
    last = str(clock.known[place].astype("datetime64[s]")).replace("T00:00:00", "")
    return (f"times in '{when}'{of} do not rise after {last}: sort the rows, or name the column that tells series apart "
            "with --set modality.group=COLUMN")  # fmt: skip
