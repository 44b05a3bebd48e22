"""Ways in which tables write moments: read to UTC, and written again."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
    "%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m", "%Y/%m/%d",
    "%Y/%m/%d %H:%M:%S", "%Y/%m/%d %H:%M", "%d.%m.%Y", "%d.%m.%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%Y", "%d/%m/%Y",
    "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M %p", "%d/%m/%Y %I:%M %p",
    "%m/%d/%Y %I:%M:%S %p", "%d/%m/%Y %I:%M:%S %p", "%Y-%m-%d %I:%M %p", "%Y-%m-%d %I:%M:%S %p", "%m/%d/%y", "%d/%m/%y",
    "%d-%m-%Y", "%m-%d-%Y", "%Y%m%d", "%d %b %Y", "%b %d %Y", "%b %d, %Y", "%b %Y", "%d-%b-%Y", "%d-%b-%y", "%YQ%q",
    "%Y-Q%q", "%Y Q%q", "Q%q %Y", "%Y",
)  # fmt: skip
"""As `strptime` has them, the likelier first; %q is the number of a quarter."""
EPOCHS = {"seconds": 1, "milliseconds": 1_000, "microseconds": 1_000_000}
"""Since 1970, in a second."""
PLAUSIBLE = range(315_532_800, 4_102_444_800)
"""Seconds from 1980 to 2100, outside which a number is no time since 1970."""
ZONE = re.compile(r"(?<=\d)\s?(?:Z|UTC|GMT|([+-])(\d\d):?(\d\d))$")
QUARTER = re.compile(r"Q([1-4])")
SINCE = datetime(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way to write moments.

    Attributes:
        format: one of `FORMATS`, or of `EPOCHS`.
        zone: what stands at the end of the last cell, in which further ones are written.
    """

    format: str
    zone: str = ""

    def read(self, cell: str) -> datetime | None:
        """In UTC, or as it stands where it names no zone; None if the cell is written in another way."""
        if self.format in EPOCHS:
            seconds = float(cell) / EPOCHS[self.format] if re.fullmatch(r"\d{1,20}(\.0*)?", cell) else -1.0
            return SINCE + timedelta(seconds=seconds) if int(seconds) in PLAUSIBLE else None
        zone = _zone(cell)
        if bool(zone) != bool(self.zone):
            return None
        bare, written = cell.removesuffix(zone), self.format
        if "%q" in written:
            bare, written = QUARTER.sub(lambda found: f"Q{3 * int(found[1]) - 2}", bare), written.replace("%q", "%m")
        try:
            return datetime.strptime(bare, written) - _offset(zone)
        except (ValueError, OverflowError):
            return None

    def write(self, moment: datetime) -> str:
        if self.format in EPOCHS:
            return str(round((moment - SINCE).total_seconds() * EPOCHS[self.format]))
        local = self.local(moment)
        return local.strftime(self.format.replace("%q", str((local.month + 2) // 3))) + self.zone

    def local(self, moment: datetime) -> datetime:
        """In the zone of the last cell."""
        return moment + _offset(self.zone)

    def utc(self, local: datetime) -> datetime:
        return local - _offset(self.zone)


def ways(filled: Sequence[str]) -> list[Way]:
    """In which the first of these cells may be written, the likelier first."""
    zone = _zone(filled[-1])
    found = [*(Way(format=written, zone=zone) for written in FORMATS), *(Way(format=unit) for unit in EPOCHS)]
    return [way for way in found if way.read(filled[0]) is not None]


def _zone(cell: str) -> str:
    found = ZONE.search(cell) if ":" in cell else None
    return found[0] if found else ""


def _offset(zone: str) -> timedelta:
    found = ZONE.search(f"0{zone}") if zone else None
    if found is None or found[1] is None:
        return timedelta()
    ahead = timedelta(hours=int(found[2]), minutes=int(found[3]))
    return ahead if found[1] == "+" else -ahead
