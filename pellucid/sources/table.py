"""Tables with a column of pictures: Parquet files, and the Arrow files in which `datasets` saves to the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pellucid.core.items import Rejection
from pellucid.sources.columns import Columns, missing
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source

BATCH = 16  # rows in memory
MAGIC = b"ARROW1"  # how the one of Arrow's formats begins that is no stream


class Table(Source):
    """A .parquet or .arrow file, read batch by batch."""

    suffixes = (".parquet", ".arrow")

    def _entries(self) -> Iterator[Entry | Rejection]:
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise RefusedError(str(missing("pyarrow", "a table"))) from None
        opened = _parquet if self.path.suffix.lower() == ".parquet" else _arrow
        with opened(self.path, self.column) as (columns, batches):
            yield from columns.entries(batches, self.name)


@contextmanager
def _parquet(path: Path, column: str | None) -> Iterator[tuple[Columns, Iterator[Any]]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, memory_map=True) as file:
        columns = Columns.find(file.schema_arrow, column)
        yield columns, file.iter_batches(BATCH, columns=columns.used, use_threads=False)


@contextmanager
def _arrow(path: Path, column: str | None) -> Iterator[tuple[Columns, Iterator[Any]]]:
    """Either of Arrow's two formats, of which `datasets` writes the stream."""
    from pyarrow import ipc, memory_map

    with memory_map(str(path)) as file:
        if file.read(len(MAGIC)) == MAGIC:
            whole = ipc.open_file(file)
            yield Columns.find(whole.schema, column), map(_sound, map(whole.get_batch, range(whole.num_record_batches)))
        else:
            file.seek(0)
            stream = ipc.open_stream(file)
            yield Columns.find(stream.schema, column), map(_sound, stream)


def _sound(batch: Any) -> Any:
    """The batch, whose places and lengths have been checked: Arrow takes them from the file and would read anywhere."""
    batch.validate(full=True)
    return batch
