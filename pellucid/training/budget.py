"""What was settled of a run of so many minutes before its first step."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.training.config import RunConfig
from pellucid.training.prepare import Prepared


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What was chosen.

    Attributes:
        prepared: the data at the resolution that was chosen.
        after: seconds of the minutes that are for the first look and evaluation, after training.
        event: for the log.
        lines: for people, each under a name; `tell` is who shows one.
    """

    config: RunConfig
    prepared: Prepared
    after: float
    event: dict[str, Any]
    lines: dict[str, str]
    tell: Callable[[str, str], None]

    def announce(self) -> None:
        """Show all lines."""
        for name, line in self.lines.items():
            self.tell(name, line)


Fit = Callable[[RunConfig, Prepared, Path], Budget]
"""Settles what a configuration leaves open, of data that is packed in a folder."""
