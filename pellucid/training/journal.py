"""What a run writes down as it goes: RUN/log.jsonl, TensorBoard events, and another tracker's curves if one is given."""

import json
from pathlib import Path
from time import time
from typing import Any

from pellucid.core.files import atomic_write
from pellucid.training.tensorboard_events import TensorboardEvents
from pellucid.training.tracker import Tracker

NAME = "log.jsonl"


class Journal:
    """One JSON object a line, each with `event`, `time` and `samples`; numbers of "train" events go to trackers too.

    Arguments:
        folder: of the run.
        seen: samples seen by the checkpoint that is resumed from; later entries are dropped, since they will come again.
        tracker: beside TensorBoard, and closed with it.
    """

    def __init__(self, folder: Path, seen: int, tracker: Tracker | None = None) -> None:
        path = folder / NAME
        if path.exists():
            lines = [line for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if _holds(line, seen)]
            with atomic_write(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        self._file = path.open("a", encoding="utf-8")
        self._trackers: list[Tracker] = [TensorboardEvents(folder, seen), *([] if tracker is None else [tracker])]

    def write(self, event: str, samples: int, **values: Any) -> None:
        """Add an entry."""
        self._file.write(json.dumps({"event": event, "time": time(), "samples": samples, **values}) + "\n")
        self._file.flush()
        if event == "train":
            for tracker in self._trackers:
                tracker.write(samples, values)

    def close(self) -> None:
        """Finish all of them."""
        self._file.close()
        for tracker in self._trackers:
            tracker.close()


class Silent(Journal):
    """Of those who write nothing down."""

    def __init__(self) -> None:
        pass

    def write(self, event: str, samples: int, **values: Any) -> None:
        pass

    def close(self) -> None:
        pass


SILENT = Silent()


def append_event(folder: Path, event: str, samples: int, **values: Any) -> None:
    """Add an entry to the log of a run that is not being trained; nothing in it is dropped."""
    with (folder / NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": event, "time": time(), "samples": samples, **values}) + "\n")


def _holds(line: str, seen: int) -> bool:
    try:
        return bool(json.loads(line)["samples"] <= seen)
    except (ValueError, KeyError, TypeError):
        return False
