"""Time series: windows of the columns of CSV and Parquet files, each column on a scale of its own."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError, UnsupportedError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Record
from pellucid.modalities.animation import save_journey
from pellucid.modalities.history import History
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.orders import find_orders, hold_orders
from pellucid.modalities.panel import panels
from pellucid.modalities.sheet import sheet
from pellucid.modalities.table import COLUMNAR, SUFFIXES, TEXT, is_of_numbers
from pellucid.modalities.windows import Reading
from pellucid.modalities.write_table import free, write_columns
from pellucid.sources.find import is_remote
from pellucid.sources.walk import walk

GLANCE = 1000  # files that are looked at before a folder is given up
FACTOR = 3  # of the largest value to the smallest, from which a column is one of proportions
TINY = 1e-300
SHOWN = 0.002  # share of values at either end that may leave a picture

Numbers = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Series(Modality):
    """Windows (C, L) of C columns over L steps in time: numbers as they are when packed, missing ones NaN; for the model
    each column less its mean, over its standard deviation, over all that was trained on.

    Read from CSV (any usual separator, with or without header) and Parquet: a file, or a folder of them with sub-folders as
    labels. A column of times gives order and rhythm; columns of words tell series and labels apart. See `table.read_table`
    and `history.histories` for the rules.

    Arguments:
        group: the column that tells the series of a long table apart; "" looks for one where times do not rise.
        stride: rows between the beginnings of windows.
        returns: columns, or "all", that are modelled by how they change: log x_k - log x_{k-1}.
        logarithm: columns whose logarithm is modelled; "auto": those of positive values that differ by a factor of 3 or
            more, "none", or their names.
        labelled: the column that labels came from, learned from the data.
        columns, logged, centre, spread, low, high: learned from the data, of each column: name, whether its logarithm is
            modelled, mean and standard deviation (0 where it is constant) of what is, and its range but for outliers.
        orders: pairs of columns, by place, of which the first was never below the second, nor is in samples; learned too.
    """

    sampler: ClassVar[str] = "dpmpp"
    steps: ClassVar[int] = 20
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "float64"
    axes: ClassVar[str] = "columns x rows"
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".parquet", ".tsv", ".png", ".webp", ".jpg", ".npy")
    column: ClassVar[Literal["caption", "label"]] = "label"
    recipe: ClassVar[str] = "series"
    given: ClassVar[float] = 0.5

    group: str = ""
    stride: int = 1
    returns: tuple[str, ...] | str = ()
    logarithm: tuple[str, ...] | str = "auto"
    labelled: str = ""
    columns: tuple[str, ...] = ()
    logged: tuple[bool, ...] = ()
    centre: tuple[float, ...] = ()
    spread: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    orders: tuple[tuple[int, int], ...] = ()

    @classmethod
    def example(cls) -> Self:
        return cls(columns=("a", "b"), centre=(1.0, -2.0), spread=(2.0, 0.5), low=(-3.0, -3.0), high=(5.0, 0.0))

    def recognises(self, path: Path) -> bool:
        if not path.is_dir():
            name = path.name.lower()
            return path.is_file() and (name.endswith(TEXT) or (name.endswith(COLUMNAR) and is_of_numbers(path)))
        found = [file for file in islice(walk(path), GLANCE) if isinstance(file, Path)]
        return any(file.name.lower().endswith(TEXT) for file in found) and not any(map(is_picture, found))

    def files(self, path: Path) -> Iterator[Path]:
        if path.is_dir():
            yield from (file for file in walk(path) if isinstance(file, Path) and file.name.lower().endswith(SUFFIXES))
        else:
            yield path

    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """Windows of `size` rows; without it 64, or half of the longest series if that is shorter. `column` holds labels."""
        if is_remote(path) or not path.exists():
            raise DataError(f"There is no '{path}': expected a CSV or Parquet file, or a folder of them")
        reading = self._reading(path, size[0] if isinstance(size, tuple) else size, column, labels=labels)
        if channels is not None and channels != len(reading.columns):
            found = f"{len(reading.columns)} columns ({', '.join(reading.columns)})"
            raise DataError(f"'{path}' has {found}, expected {channels}")
        yield from reading.records()

    def open(self, path: Path) -> tuple[list[History], list[str]]:
        """The series of one file, in the columns that the model knows, values as they stand there; and what was noted.

        Raises:
            DataError: unreadable, or without one of the columns.
        """
        if not path.is_file():
            raise DataError(f"There is no file '{path}'")
        try:
            return self._reading(path, None, self.labelled or None, labels=False, known=True).read(path)
        except DataError as error:
            raise DataError(f"'{path}': {error}") from None

    def change(self, values: Numbers) -> Numbers:
        """(C, T) as it stands in a file to (C, T) as it is modelled: returns where they are, of which the first is NaN."""
        changed = values.copy()
        for place in self._changing():
            changed[place, 1:] = np.diff(np.log(values[place]))
            changed[place, :1] = np.nan
        return changed

    def check(self, values: Numbers) -> None:
        """Refuse (C, T) as it stands in a file where a logarithm is needed of what has none."""
        for place, name in enumerate(self.columns):
            needed = place in self._changing() or (place < len(self.logged) and self.logged[place])
            if needed and (values[place] <= 0).any():
                row = int(np.flatnonzero(values[place] <= 0)[0])
                raise DataError(f"'{name}' is {values[place, row]:g} in one of its rows: the model knows it by proportions, "
                                "so expected values above 0, or an empty cell")  # fmt: skip

    def change_back(self, modelled: Numbers, known: Numbers) -> Numbers:
        """(..., C, T) as modelled to values as in files, which go on from the last that is known in `known` (C, T)."""
        found = modelled.copy()
        for place in self._changing():
            there = np.flatnonzero(np.isfinite(known[place]))
            if not len(there):
                raise DataError(f"'{self.columns[place]}' has no value in the rows that the forecast looks at: it is "
                                "modelled by its returns, which need a beginning")  # fmt: skip
            last = int(there[-1])
            if not np.isfinite(known[place, :last]).all():
                name = self.columns[place]
                raise UnsupportedError(f"'{name}' is modelled by its returns, so that gaps in it cannot be filled")
            found[..., place, : last + 1] = known[place, : last + 1]
            found[..., place, last + 1 :] = known[place, last] * np.exp(modelled[..., place, last + 1 :].cumsum(-1))
        return found

    def _changing(self) -> list[int]:
        """Places of the columns that are modelled by their returns."""
        return [place for place, name in enumerate(self.columns) if self.returns == "all" or name in self.returns]

    def _reading(
        self, path: Path, length: int | None, column: str | None, *, labels: bool, known: bool = False
    ) -> Reading:
        return Reading(
            path=path, files=list(self.files(path)), length=length, stride=self.stride, group=self.group, label=column,
            labels=labels, returns=self.returns, columns=self.columns, known=known,
        )  # fmt: skip

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:
        names = details.get("columns") or [f"column {place + 1}" for place in range(stored.shape[1])]
        known = [row[np.isfinite(row)] for row in stored.transpose(1, 0, 2).reshape(len(names), -1)]
        if empty := [name for name, row in zip(names, known, strict=True) if not len(row)]:
            raise DataError(f"column '{empty[0]}' has no value in any window: leave it out of the table")
        if unknown := next((name for name in self._told_logarithms if name not in names), None):
            raise ConfigError(f"modality.logarithm: no column '{unknown}': {nearest(unknown, [*names, 'auto', 'none'])}")
        ends = [np.quantile(row, [SHOWN, 1 - SHOWN]) for row in known]
        logged = tuple(self._logs(name, row) for name, row in zip(names, known, strict=True))
        modelled = [np.log(row) if log else row for row, log in zip(known, logged, strict=True)]
        return {
            "labelled": details.get("labelled", ""), "columns": tuple(names), "logged": logged,
            "centre": tuple(_centre(row) for row in modelled), "spread": tuple(_spread(row) for row in modelled),
            "low": tuple(float(low) for low, _ in ends), "high": tuple(float(high) for _, high in ends),
            "orders": tuple(find_orders(stored.transpose(1, 0, 2).reshape(len(names), -1))),
        }  # fmt: skip

    def _logs(self, name: str, values: Numbers) -> bool:
        """Whether a column's logarithm is modelled."""
        positive = bool(values.min() > 0)
        if self.logarithm == "auto":
            return positive and bool(values.max() >= FACTOR * values.min())
        wanted = name in self._told_logarithms
        if wanted and not positive:
            raise ConfigError(f"modality.logarithm: column '{name}' has values of 0 or less, which have no logarithm")
        return wanted

    @property
    def _told_logarithms(self) -> tuple[str, ...]:
        """Columns named by the user as those whose logarithm is modelled."""
        names = (self.logarithm,) if isinstance(self.logarithm, str) else tuple(self.logarithm)
        return () if names in (("auto",), ("none",)) else names

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        x = (torch.as_tensor(np.asarray(stored)) if not isinstance(stored, Tensor) else stored).double()
        logged, centre, spread = self._scales(x)
        x = torch.where(logged, x.clamp(min=TINY).log(), x)
        return ((x - centre) / torch.where(spread > 0, spread, 1.0)).float()

    def encode(self, x: Tensor) -> Numbers:
        x = x.detach().cpu().double()
        logged, centre, spread = self._scales(x)
        x = x * spread + centre
        return hold_orders(torch.where(logged, x.exp(), x).numpy(), self.orders)

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        return panels(np.asarray(stored), self.low, self.high)

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,  # noqa: ARG002
    ) -> list[Path]:
        """A .csv or .parquet table of all windows with the columns `sample` and `step`; `.npy` numbers (B, C, L); a picture
        of all with a line for each column; any other name is a folder for 000000.csv, 000001.csv, ...
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        stored, suffix = self.encode(samples), path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, stored)
        elif is_picture(path):
            with atomic_write(path) as temporary:
                sheet(self.pictures(stored), labels=labels).save(temporary)
        elif suffix in SUFFIXES:
            write_columns(path, self._long(stored, labels))
        elif suffix:
            raise UserError(f"Cannot write series as '{path.name}': {nearest(suffix, self.suffixes)}")
        else:
            files = [path / f"{index:06d}.csv" for index in range(len(stored))]
            for file, sample in zip(files, stored, strict=True):
                write_columns(file, dict(zip(self.names, sample, strict=True)))
            return files
        return [path]

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of the columns in files that are written."""
        changing = self._changing()
        return tuple(f"{name} return" if place in changing else name for place, name in enumerate(self.columns))

    def _long(self, stored: Numbers, labels: Sequence[str | None] | None) -> dict[str, Any]:
        count, _, length = stored.shape
        table: dict[str, Any] = {
            free("sample", self.names): np.repeat(np.arange(count), length),
            free("step", self.names): np.tile(np.arange(length), count),
        }
        if labels is not None:
            table[free("label", self.names)] = [label or "" for label in labels for _ in range(length)]
        return table | {name: stored[:, place].reshape(-1) for place, name in enumerate(self.names)}

    def _scales(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which are logarithms, means and deviations, broadcastable to x (..., C, L)."""
        shape = (-1, 1) if x.ndim > 1 else (-1,)
        return (
            torch.tensor(self.logged or (False,)).reshape(shape),
            torch.tensor(self.centre or (0.0,), dtype=torch.float64).reshape(shape),
            torch.tensor(self.spread or (1.0,), dtype=torch.float64).reshape(shape),
        )


def _centre(values: Numbers) -> float:
    """The mean, of values of any size."""
    size = float(np.abs(values).max()) or 1.0
    return float((values / size).mean()) * size


def _spread(values: Numbers) -> float:
    """The standard deviation, of values of any size; 0 of a constant."""
    size = float(np.abs(values).max()) or 1.0
    return 0.0 if values.min() == values.max() else float((values / size).std()) * size
