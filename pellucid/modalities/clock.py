"""Times in a table's column: read, checked for order and rhythm, and carried on."""

from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.delimited import MISSING

FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m", "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y",
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%y", "%d/%m/%y", "%Y%m%d", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%b %Y",
)  # fmt: skip
"""In which times are looked for, the likelier first; a text that several fit is read as the first that keeps it in order."""
STEADY = 0.8
"""Share of equal steps from which others count as gaps."""
MONTH = 28

Times = NDArray[np.datetime64]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Times (T,) of rows, NaT where a row has none, as they stand in the file, and how they are written."""

    times: Times
    cells: Sequence[str]
    format: str

    def rows(self, chosen: NDArray[np.int64]) -> "Clock":
        """Some of the rows, in the order given."""
        return replace(self, times=self.times[chosen], cells=[self.cells[row] for row in chosen])

    def spaced(self, places: NDArray[np.int64]) -> "Clock":
        """With times put in, so that row i stands at places[i]."""
        count = int(places[-1]) + 1
        times = self.times[0] + np.arange(count) * ((self.times[-1] - self.times[0]) // (count - 1))
        cells = [moment.strftime(self.format) for moment in times.tolist()]
        for place, cell in zip(places.tolist(), self.cells, strict=True):
            cells[place] = cell
        return replace(self, times=times, cells=cells)

    @property
    def rises(self) -> bool:
        """Whether each comes after the one before."""
        return bool((np.diff(self.known) > np.timedelta64(0)).all())

    @property
    def falls(self) -> bool:
        return len(self.known) > 1 and bool((np.diff(self.known) < np.timedelta64(0)).all())

    @property
    def known(self) -> Times:
        return self.times[~np.isnat(self.times)]

    def places(self) -> NDArray[np.int64] | None:
        """Where each row stands when missing times are put in, (T,), of steady times with gaps of whole steps; else None."""
        if np.isnat(self.times).any() or len(self.times) < 3:
            return None
        steps = np.diff(self.times).astype(np.int64)
        values, counts = np.unique(steps, return_counts=True)
        usual = int(values[counts.argmax()])
        if counts.max() < STEADY * len(steps) or (steps % usual).any():
            return None
        days = usual / 86_400_000_000
        if days == 1 and _works_only(self.times):
            return None  # weekends are no gaps
        return np.concatenate([[0], np.cumsum(steps // usual)])

    def after(self, count: int) -> list[str]:
        """The `count` times that follow the last one, as they are written; working days and months keep their rhythm."""
        moments = [moment for moment in self.known.tolist() if isinstance(moment, datetime)]
        if len(moments) < 2:
            return [""] * count
        step = _rhythm(moments)
        found, now = [], moments[-1]
        for _ in range(count):
            now = step(now)
            found.append(now.strftime(self.format))
        return found


def read_clock(cells: Sequence[str]) -> Clock | None:
    """A column of text as times, if every cell that is not empty is one in the same way of writing."""
    filled = [cell for cell in cells if cell.lower() not in MISSING]
    fitting = [written for written in FORMATS if filled and _parsed(filled[0], written)]
    found = None
    for written in fitting:
        moments = [np.datetime64("NaT", "us") if cell.lower() in MISSING else _parsed(cell, written) for cell in cells]
        if all(moment is not None for moment in moments):
            clock = Clock(times=np.array(moments, dtype="datetime64[us]"), cells=cells, format=written)
            if clock.rises or clock.falls:
                return clock
            found = found or clock
    return found


def _parsed(cell: str, written: str) -> Any:
    try:
        return np.datetime64(datetime.strptime(cell, written), "us")
    except ValueError:
        return None


def _works_only(times: Times) -> bool:
    """Whether none is a Saturday or Sunday."""
    return bool((((times.astype("datetime64[D]").astype(np.int64) + 3) % 7) < 5).all())


def _months_later(now: datetime, months: int, day: int) -> datetime:
    """The same day, or the month's last where it has fewer."""
    place = now.month - 1 + months
    year, month = now.year + place // 12, place % 12 + 1
    return now.replace(year=year, month=month, day=min(day, monthrange(year, month)[1]))


def _rhythm(moments: list[datetime]) -> Callable[[datetime], datetime]:
    """From one time to the next."""
    from datetime import timedelta

    gaps = np.diff(np.array(moments, dtype="datetime64[us]")).astype(np.int64) / 86_400_000_000
    usual = float(np.median(gaps))
    whole = all(moment.hour == moment.minute == moment.second == 0 for moment in moments)
    day = max(moment.day for moment in moments)
    kept = all(moment.day == min(day, monthrange(moment.year, moment.month)[1]) for moment in moments)
    if whole and usual >= MONTH and kept:
        months = max(1, round(usual / 30.44))
        return lambda now: _months_later(now, months, day)
    if whole and usual == 1 and all(moment.weekday() < 5 for moment in moments):
        return lambda now: now + timedelta(days=3 if now.weekday() == 4 else 1)
    return lambda now: now + timedelta(days=usual)
