"""What a run wrote into its `log.jsonl`, as it turned out in the end.

One JSON object a line, told apart by "event". Lines that are not JSON objects (the last one of an interrupted run) are
skipped. Where a run resumed from a checkpoint, the counter `samples` falls back; what it had logged beyond that point was
then done again, so the older lines are dropped. Of evaluations at the same point the newest stands.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class History:
    """The events of a run in their order."""

    events: tuple[Event, ...] = ()

    @classmethod
    def read(cls, path: Path) -> Self:
        """The log at `path`; empty if there is none."""
        events: list[Event] = []
        reached = nan
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
            event = _parsed(line)
            if event.get("event") == "train":
                samples = number(event.get("samples"))
                if samples < reached:
                    events = [old for old in events if not number(old.get("samples")) >= samples]
                reached = samples
            elif event.get("event") == "evaluation":  # of the same model: the newest stands
                events = [old for old in events if not _same_moment(old, event)]
            events.append(event)
        return cls(events=tuple(events))

    def kind(self, name: str) -> list[Event]:
        """The events of one kind."""
        return [event for event in self.events if event.get("event") == name]

    def column(self, kind: str, name: str) -> NDArray[np.float64]:
        """One quantity over the events of a kind, NaN where it is missing."""
        return column(self.kind(kind), name)

    @property
    def seconds(self) -> float:
        """Wall clock from the first event to the last of training; what was measured afterwards does not count."""
        ends = [i for i, event in enumerate(self.events) if event.get("event") == "end"]
        times = column(self.events[: ends[-1] + 1] if ends else self.events, "time")
        times = times[np.isfinite(times)]
        return float(np.ptp(times)) if len(times) else 0.0

    @property
    def ended(self) -> bool:
        """Whether the run came to its end, and was not taken up again."""
        kinds = [event["event"] for event in self.events if event.get("event") in ("train", "end")]
        return kinds[-1:] == ["end"]


def number(value: object) -> float:
    """A JSON number, or NaN for anything else."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else nan
    except OverflowError:
        return nan


def column(events: Sequence[Event], name: str) -> NDArray[np.float64]:
    """One quantity over events, NaN where it is missing."""
    return np.array([number(event.get(name)) for event in events], dtype=np.float64)


def numbers(values: object) -> NDArray[np.float64]:
    """A JSON list as an array, NaN for what is not a number; empty for anything but a list."""
    return np.array([number(value) for value in values] if isinstance(values, list) else [], dtype=np.float64)


def _same_moment(old: Event, event: Event) -> bool:
    return all(old.get(name) == event.get(name) for name in ("event", "samples"))


def _parsed(line: str) -> Event:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}
