"""Series from files, gone on with or filled in: versions of what is missing, and what they agree on."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.files import atomic_write
from pellucid.modalities.fan import Fan, fan_chart
from pellucid.modalities.history import History
from pellucid.modalities.series import Series
from pellucid.modalities.write_table import free, write_columns
from pellucid.model.filling import fill
from pellucid.model.model import Model

MIDDLE = 0.5
APART = 0xD1B54A32D192ED03
"""Between the seeds of series, so that each has noise of its own."""
LARGEST = 1 << 28
"""Numbers that are held of one series."""
SHOWN = 60
"""Lines of a chart, one under the other."""
KEPT = 4
"""Windows of the past that a forecast looks at, at most."""

Values = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Completion:
    """One series with versions of what was missing in it.

    Attributes:
        name: of the group; empty where a file is one series.
        when, times: name of the column of times, and the times (T,), as the file writes them.
        columns: names of the C columns.
        known: (C, T), NaN where a value was missing.
        versions: (n, C, T), equal to `known` wherever it is a number.
        new: rows at the end that are not in the file.
        of: name of the column by which a table tells its series apart; "": it is the only one.
        beside: cells of the file's other columns, by name, which stay.
    """

    name: str
    when: str
    times: Sequence[str]
    columns: Sequence[str]
    known: Values
    versions: Values
    new: int = 0
    of: str = ""
    beside: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def quantile(self, share: float) -> Values:
        """(C, T)."""
        return np.asarray(np.quantile(self.versions, share, axis=0))

    def columns_of(self, quantiles: Sequence[float], *, only_new: bool) -> dict[str, Any]:
        """As a table has it: times, then of each column the median and these quantiles."""
        rows = slice(len(self.times) - self.new if only_new else 0, None)
        own = self.columns
        table: dict[str, Any] = {free(self.of, own): [self.name] * len(self.times[rows])} if self.of else {}
        table[free(self.when or "row", [*own, *table])] = self.times[rows]
        found = {share: self.quantile(share) for share in {MIDDLE, *quantiles}}
        for place, column in enumerate(self.columns):
            table[column] = found[MIDDLE][place, rows]
            table |= {f"{column} q{100 * share:g}": found[share][place, rows] for share in sorted(quantiles)}
        return table if only_new else {**self.beside, **table}

    def fans(self, low: float, high: float, past: int) -> list[Fan]:
        """Of each column, with `past` rows before what is new."""
        rows = slice(max(0, len(self.times) - self.new - past) if self.new else 0, None)
        ends = [self.quantile(share)[:, rows] for share in (low, MIDDLE, high)]
        title = f"{self.name}: " if self.name else ""
        return [
            Fan(name=f"{title}{column}", known=self.known[place, rows], low=ends[0][place], middle=ends[1][place],
                high=ends[2][place])
            for place, column in enumerate(self.columns)
        ]  # fmt: skip


def complete(
    model: Model,
    path: Path | str,
    *,
    length: int = 0,
    n: int = 100,
    progress: Callable[[int, int], None] | None = None,
    tell: Callable[[str], None] = lambda _: None,
    **settings: Any,
) -> list[Completion]:
    """The series of a file with `length` rows more, and what is missing in them drawn `n` times; see `fill`.

    Columns that are known beyond the others (the weather that was forecast, holidays) stand in the file, those to be
    forecast empty in these rows: then no `length` is needed.

    Arguments:
        tell: called with sentences for the user about how the file was read.
        settings: as for `Model.sample`.

    Raises:
        UserError: the file cannot be read, nothing is missing, or the model is not one that can fill in.
    """
    if not isinstance(model.modality, Series):
        raise UnsupportedError("Forecasts and filled gaps are for models of series, trained on CSV or Parquet")
    if length < 0:
        raise ConfigError(f"length = {length}: expected 1 or more")
    found, notes = model.modality.open(Path(path))
    for note in notes:
        tell(note)
    if not length and all(np.isfinite(one.values).all() for one in found):
        raise DataError(f"Nothing is missing in '{path}': to forecast, say how many rows (--length)")
    rows = length + max(len(one.values) for one in found)
    size = n * len(model.modality.columns) * rows
    if size > LARGEST:
        raise ConfigError(f"n = {n:,} versions of {rows:,} rows are {size:,} numbers, expected at most {LARGEST:,}: ask for "
                          "fewer")  # fmt: skip
    done = []
    for place, one in enumerate(found):

        def report(now: int, whole: int, place: int = place) -> None:
            if progress is not None:
                progress(place * whole + now, len(found) * whole)

        own = {**settings, "seed": (settings.get("seed", 0) + place * APART) % 2**64}
        if own.get("label") is None and one.labels and one.labels[-1] in model.facts.labels:
            own["label"] = one.labels[-1]
        of = one.of or "series" if len(found) > 1 else ""
        done.append(_completed(model, model.modality, one, length, n, report, own, of))
    return done


def _completed(
    model: Model, series: Series, one: History, length: int, n: int, report: Callable[[int, int], None], settings: Any,
    of: str,
) -> Completion:  # fmt: skip
    past = KEPT * model.facts.shape[1] if length else len(one.values)
    values, times = one.values.T[:, -past:], one.times(length)[-past - length :]
    known = np.pad(values, ((0, 0), (0, length)), constant_values=np.nan)
    series.check(known)
    changing = series.change(known)
    modelled = changing[:, 1:] if series.returns else changing
    versions = fill(model, modelled, n=n, progress=report, **settings)
    if series.returns:
        first = np.broadcast_to(known[:, :1], (n, len(known), 1))
        versions = series.change_back(np.concatenate([first, versions], axis=2), known)
    return Completion(
        name=one.name, when=one.when, times=times, columns=series.columns, known=known, versions=versions, new=length,
        of=of, beside=one.beside,
    )  # fmt: skip


def save(
    completions: Sequence[Completion], path: Path, quantiles: Sequence[float] = (0.05, 0.95), *, past: int = 0
) -> None:
    """A table (.csv, .tsv, .parquet), all versions as numbers (.npy, (n, C, T) of a single series), or a chart (a picture).

    Of a forecast a table has the new rows only.

    Arguments:
        past: rows before those that are new in a chart.
    """
    if path.suffix.lower() == ".npy":
        if len(completions) > 1:
            raise ConfigError(f"--out {path}: {len(completions)} series do not fit one array; expected a .csv or .parquet")
        with atomic_write(path) as temporary:
            np.save(temporary, completions[0].versions[..., -completions[0].new or None :])
    elif path.suffix.lower() in (".csv", ".tsv", ".parquet"):
        tables = [one.columns_of(quantiles, only_new=bool(one.new)) for one in completions]
        write_columns(path, {name: [cell for table in tables for cell in table[name]] for name in tables[0]})
    else:
        low, high = (min(quantiles), max(quantiles)) if quantiles else (MIDDLE, MIDDLE)
        fans = [fan for one in completions for fan in one.fans(low, high, past)]
        if len(fans) > SHOWN:
            raise ConfigError(f"--out {path}: a chart shows {SHOWN} lines at most, and there are {len(fans)}: write a .csv")
        ends = completions[0]
        first = ends.times[max(0, len(ends.times) - ends.new - past) if ends.new else 0]
        with atomic_write(path) as temporary:
            fan_chart(fans, first=first, last=ends.times[-1]).save(temporary)
