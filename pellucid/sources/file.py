"""A plain file: one entry."""

from collections.abc import Iterator
from typing import IO

from pellucid.core.items import Rejection
from pellucid.sources.entry import Entry
from pellucid.sources.source import Source


class File(Source):
    """A file that is itself the thing to be read."""

    suffixes = ("",)  # as every name ends

    def _entries(self) -> Iterator[Entry | Rejection]:
        yield Entry(
            name=self.name, open=self._open, suffix=self.path.suffix.lower(), label=self.told.label,
            captions=self.told.captions,
        )  # fmt: skip

    def _open(self) -> IO[bytes]:
        return self.path.open("rb")
