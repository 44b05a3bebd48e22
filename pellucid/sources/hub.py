"""Data sets that the `datasets` library finds: on the Hugging Face hub, or in a local folder that it understands."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError, nearest
from pellucid.core.items import Rejection
from pellucid.sources.columns import Columns, missing
from pellucid.sources.entry import Entry
from pellucid.sources.source import Source

PREFIX = "hub:"
BATCH = 16  # rows in memory


class Hub(Source):
    """`hub:OWNER/NAME` or `hub:OWNER/NAME:SPLIT`; without a split "train", or the only one there is."""

    @classmethod
    def claims(cls, path: Path) -> bool:
        return str(path).startswith(PREFIX)

    def files(self) -> Iterator[Path]:
        yield from (Path(file["filename"]) for file in _load(self.name)[0].cache_files)

    def _entries(self) -> Iterator[Entry | Rejection]:
        data, split, others = _load(self.name)
        columns = Columns.find(data.features.arrow_schema, self.column)
        batches = data.select_columns(columns.used).with_format("arrow").iter(BATCH)
        note = (f"split '{split}' is used, not {', '.join(others)}",) if others else ()
        for entry in columns.entries(batches, f"{self.name.removesuffix(':' + split)}:{split}", local=True):
            yield replace(entry, notes=(*entry.notes, *note))


@lru_cache(1)
def _load(name: str) -> tuple[Any, str, list[str]]:
    """The data set, memory-mapped, its split, and the others that there are.

    Raises:
        DataError: it cannot be found or fetched, or has no such split.
    """
    try:
        import datasets
    except ImportError:
        raise missing("datasets", f"'{name}'") from None
    place, _, split = name.removeprefix(PREFIX).partition(":")
    try:
        with _quietly(datasets):
            found = datasets.load_dataset(place)  # nosec B615
    except Exception as error:  # of the network, of the hub, of any file format
        why = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise DataError(f"'{name}' cannot be fetched: {why}. Is the name right, and is there a network?") from None
    split = split or ("train" if "train" in found else next(iter(found)) if len(found) == 1 else "")
    if split not in found:
        known = nearest(split, map(str, found))
        raise DataError(f"'{name}' has no split '{split}': {known}. Give one as {PREFIX}OWNER/NAME:SPLIT")
    return found[split], split, [other for other in found if other != split]


@contextmanager
def _quietly(datasets: Any) -> Iterator[None]:
    """Without a bar for each split, and without a warning for each of several attempts."""
    logger, bars = logging.getLogger("huggingface_hub"), not datasets.are_progress_bars_disabled()
    level = logger.level
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            datasets.enable_progress_bars()
