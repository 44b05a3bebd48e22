"""Windows of the series in table files, one record at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError, nearest
from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.modalities.history import History, histories
from pellucid.modalities.table import Table, read_table
from pellucid.modalities.write_table import cell
from pellucid.sources.refused import reason
from pellucid.sources.walk import shown

LENGTH = 64
"""Of windows that nobody asked for."""
VALUES = 1024
"""Of a window of that length at most, so that it suits the denoiser that series are given."""
SHORTEST = 4


@dataclass(frozen=True, kw_only=True)
class Reading:
    """Of files, all of which are brought to the columns of the first that can be read, or to `columns` if there are any.

    Arguments:
        path: what was asked for, in which files lie.
        length, stride: of windows; a length of None is chosen.
        group, label: columns; see `histories`.
        labels: whether windows have any.
        returns: columns, or "all", that are read by how they change.
        columns: those that all are brought to; empty: of the first file.
        known: whether a model that knows `columns` already is to go on with the files.
    """

    path: Path
    files: Sequence[Path]
    length: int | None
    stride: int
    group: str
    label: str | None
    labels: bool
    returns: Sequence[str] | str
    columns: tuple[str, ...] = ()
    known: bool = False

    def __post_init__(self) -> None:
        if self.stride < 1 or (self.length is not None and self.length < SHORTEST):
            raise ConfigError(f"size = {self.length}, modality.stride = {self.stride}: expected windows of at least "
                              f"{SHORTEST} rows, 1 row or more apart")  # fmt: skip
        if not self.columns:
            object.__setattr__(self, "columns", self._found[0])

    def records(self) -> Iterator[Record]:
        """Raises DataError if no window can be made of any file."""
        length, first = self.length or self._chosen(), True
        made, refused = 0, None
        for file in self.files:
            name = self._name(file)
            try:
                found, notes = self.read(file)
                found = [self._changed(one) for one in found]
            except (DataError, OSError, ConfigError) as error:
                refused = refused or Rejection(source=name, reason=reason(error))
                yield Rejection(source=name, reason=reason(error))
                continue
            fitting = [one for one in found if len(one.values) >= length]
            for one in found:
                if len(one.values) < length:
                    short = Rejection(source=f"{name}#{one.name}" if one.name else name, reason=_short(one, length))
                    refused = refused or short
                    yield short
            if fitting:
                own = (f"windows of {length} rows, {', '.join(self.columns)}",) if first else ()
                details = {"columns": list(self.columns), "labelled": self.label or ""}
                told = (*own, *notes)
                yield Origin(source=name, size=file.stat().st_size, sha256=sha256(file), notes=told, details=details)
                first = False
            for one in fitting:
                for item in self._windows(one, name, file, length):
                    made += 1
                    yield item
        if not made:
            why = f": {refused.source}: {refused.reason}" if refused else ""
            raise DataError(f"There is no series to be read in '{self.path}'{why}")

    def read(self, file: Path) -> tuple[list[History], list[str]]:
        """The series of one file, with the columns that all have.

        Raises:
            DataError: see `read_table` and `histories`; other columns.
        """
        table = read_table(file, self.columns if self.known else ())
        numbers = {name: values for name, values in table.numbers.items() if name not in (self.group, self.label)}
        if self.columns and set(numbers) != set(self.columns):
            lacks = [name for name in self.columns if name not in numbers]
            if lacks:
                raise DataError(f"no column '{lacks[0]}', which the others have: {nearest(lacks[0], numbers)}")
        found, notes = histories(table, group=self.group, label=self._label_in(table))
        places = [list(table.numbers).index(name) for name in self.columns or numbers]
        return [self._chosen_of(one, table, places) for one in found], [*table.notes, *notes]

    def _chosen_of(self, one: History, table: Table, places: list[int]) -> History:
        """With values of the columns at these places; other numbers stand beside, as words do."""
        others = {name: [cell(value) for value in one.values[:, place]] for place, name in enumerate(table.numbers)
                  if place not in places and name != one.of}  # fmt: skip
        words = {name: cells for name, cells in one.beside.items() if name != one.of}
        return replace(one, values=one.values[:, places], beside={**words, **others})

    def _label_in(self, table: Table) -> str | None:
        """The column of labels; a file that is to be gone on with may lack it."""
        lacks = self.known and self.label not in table.words and self.label not in table.numbers
        return None if lacks else self.label

    @cached_property
    def changes(self) -> tuple[str, ...]:
        """The columns that are read by how they change."""
        names = self.columns if self.returns == "all" else self.returns
        names = (names,) if isinstance(names, str) else tuple(names)
        for name in names:
            if self.columns and name not in self.columns:
                raise ConfigError(f"modality.returns: no column '{name}': {nearest(name, self.columns)}; or all")
        return names

    def _changed(self, one: History) -> History:
        if not self.columns or not self.changes:
            return one
        values = one.values.copy()
        for place, name in enumerate(self.columns):
            if name in self.changes:
                if (values[:, place] <= 0).any():
                    raise DataError(f"column '{name}' has values of 0 or less, which have no returns")
                values[1:, place] = np.diff(np.log(values[:, place]))
        clock = one.clock and one.clock.rows(np.arange(1, len(values)))
        return replace(one, values=values[1:], clock=clock, labels=one.labels and one.labels[1:], begins=one.begins + 1)

    @cached_property
    def _found(self) -> tuple[tuple[str, ...], int]:
        """The columns of the first file that can be read, and the rows of the longest series."""
        columns, longest = tuple[str, ...](), 0
        for file in self.files:
            try:
                table = read_table(file)
                parts, _ = histories(table, group=self.group, label=self.label)
            except (DataError, OSError):
                continue
            columns = columns or tuple(name for name in table.numbers if name not in (self.group, self.label))
            longest = max([longest, *(len(part.values) for part in parts)])
        return columns, longest

    def _chosen(self) -> int:
        return max(SHORTEST, min(LENGTH, self._found[1] // 2, VALUES // max(1, len(self.columns))))

    def _windows(self, one: History, name: str, file: Path, length: int) -> Iterator[Item]:
        values = one.values.T
        folder = self._folder(file)
        for start in range(0, values.shape[1] - length + 1, self.stride):
            window: NDArray[np.float64] = np.ascontiguousarray(values[:, start : start + length])
            if not np.isfinite(window).any():
                continue
            label = folder or (one.labels[start + length - 1] if one.labels else None)
            group = f"{one.name} " if one.name else ""
            yield Item(source=f"{name}#{group}{one.begins + start}", data=window, label=label if self.labels else None)

    def _folder(self, file: Path) -> str | None:
        """The sub-folder that a file lies in, which is its label."""
        parts = file.relative_to(self.path).parts if self.path.is_dir() else ()
        return shown(parts[0]) if len(parts) > 1 else None

    def _name(self, file: Path) -> str:
        return shown(file.relative_to(self.path).as_posix() if self.path.is_dir() else file.name)


def _short(one: History, length: int) -> str:
    return f"{len(one.values)} rows, fewer than a window of {length}"
