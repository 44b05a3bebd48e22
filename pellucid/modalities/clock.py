"""Times in a table's column: read, checked for order and rhythm, and carried on."""

from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.delimited import MISSING
from pellucid.modalities.moment import Way, ways

STEADY = 0.8
"""Share of equal steps from which others count as gaps."""
MONTH = 28
DAY = 86_400_000_000

Times = NDArray[np.datetime64]
Whole = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Clock:
    """Times (T,) of rows, NaT where a row has none, as they stand in the file, and how they are written."""

    times: Times
    cells: Sequence[str]
    way: Way

    def rows(self, chosen: Whole) -> "Clock":
        """Some of the rows, in the order given."""
        return replace(self, times=self.times[chosen], cells=[self.cells[row] for row in chosen])

    def spaced(self, places: Whole) -> "Clock":
        """With times put in, so that row i stands at places[i]."""
        step, times, cells = _rhythm(self._moments), list[datetime](), list[str]()
        there = dict(zip(places.tolist(), zip(self._moments, self.cells, strict=True), strict=True))
        for place in range(int(places[-1]) + 1):
            moment, cell = there.get(place) or (step(times[-1]), "")
            times.append(moment)
            cells.append(cell or self.way.write(self.way.utc(moment)))
        return replace(self, times=np.array([self.way.utc(one) for one in times], dtype="datetime64[us]"), cells=cells)

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

    @property
    def _moments(self) -> list[datetime]:
        """Those that are known, by the clock on the wall."""
        return [self.way.local(moment) for moment in self.known.tolist() if isinstance(moment, datetime)]

    def places(self) -> Whole | None:
        """Where each row stands when missing times are put in, (T,), of steady times with gaps of whole steps; else None."""
        if np.isnat(self.times).any() or len(self.times) < 3:
            return None
        moments = self._moments
        if _monthly(moments):
            return _places(np.diff([12 * moment.year + moment.month for moment in moments]))
        steps = np.diff(self.times).astype(np.int64)
        if float(np.median(steps)) == DAY and all(moment.weekday() < 5 for moment in moments):
            return None  # weekends are no gaps
        return _places(steps)

    def after(self, count: int) -> list[str]:
        """The `count` times that follow the last one, as they are written; working days and months keep their rhythm.

        Empty where there is no rhythm, or beyond the year 9999.
        """
        moments = self._moments
        if len(moments) < 2:
            return [""] * count
        step, now, found = _rhythm(moments), moments[-1], list[str]()
        try:
            for _ in range(count):
                now = step(now)
                found.append(self.way.write(self.way.utc(now)))
        except (OverflowError, ValueError):
            found += [""] * (count - len(found))
        return found


def read_clock(cells: Sequence[str]) -> Clock | None:
    """A column of text as times, if every cell that is not empty is one in the same way of writing."""
    filled = [cell for cell in cells if cell.lower() not in MISSING]
    found = None
    for way in ways(filled) if filled else ():
        moments = list[datetime | None]()
        for cell in cells:
            moments.append(moment := None if cell.lower() in MISSING else way.read(cell))
            if moment is None and cell.lower() not in MISSING:
                break
        else:
            clock = Clock(times=np.array(moments, dtype="datetime64[us]"), cells=cells, way=way)
            if clock.rises or clock.falls:
                return clock
            found = found or clock
    return found


def _places(steps: Whole) -> Whole | None:
    """Of the usual step and its multiples."""
    values, counts = np.unique(steps, return_counts=True)
    usual = int(values[counts.argmax()])
    if counts.max() < STEADY * len(steps) or usual <= 0 or (steps % usual).any():
        return None
    return np.concatenate([[0], np.cumsum(steps // usual)])


def _monthly(moments: Sequence[datetime]) -> bool:
    """Whether they are months or more apart, on the same day of each, or on the last where it has fewer."""
    gaps = np.diff(np.array(moments, dtype="datetime64[us]")).astype(np.int64) / DAY
    whole = all(moment.hour == moment.minute == moment.second == 0 for moment in moments)
    day = max(moment.day for moment in moments)
    kept = all(moment.day == min(day, monthrange(moment.year, moment.month)[1]) for moment in moments)
    return whole and kept and float(np.median(gaps)) >= MONTH


def _months_later(now: datetime, months: int, day: int) -> datetime:
    """The same day, or the month's last where it has fewer."""
    place = now.month - 1 + months
    year, month = now.year + place // 12, place % 12 + 1
    return now.replace(year=year, month=month, day=min(day, monthrange(year, month)[1]))


def _rhythm(moments: Sequence[datetime]) -> Callable[[datetime], datetime]:
    """From one time to the next."""
    gaps = np.diff(np.array(moments, dtype="datetime64[us]")).astype(np.int64) / DAY
    usual = float(np.median(gaps))
    if _monthly(moments):
        months, day = max(1, round(usual / 30.44)), max(moment.day for moment in moments)
        return lambda now: _months_later(now, months, day)
    whole = all(moment.hour == moment.minute == moment.second == 0 for moment in moments)
    if whole and usual == 1 and all(moment.weekday() < 5 for moment in moments):
        return lambda now: now + timedelta(days=3 if now.weekday() == 4 else 1)
    return lambda now: now + timedelta(days=usual)
