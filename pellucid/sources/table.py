"""Tables with a column of pictures: Parquet files, and the Arrow files in which `datasets` saves to the disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pellucid.core.items import Rejection
from pellucid.sources.columns import Columns, missing
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST, allowance
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source

BATCH = 1  # rows of a Parquet file in memory: one value may stand for many of them, and sixteen at once save 4 us a row
PACKED = 200  # times smaller than before, at most, is a column of a row group that is larger than LARGEST
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
            yield from columns.entries(_within(batches, allowance(self.path.stat().st_size)), self.name)


@contextmanager
def _parquet(path: Path, column: str | None) -> Iterator[tuple[Columns, Iterator[Any]]]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path, memory_map=True) as file:
        columns = Columns.find(file.schema_arrow, column)
        _refuse_bombs(file.metadata, columns.used, path.stat().st_size)
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


def _refuse_bombs(metadata: Any, used: list[str], size: int) -> None:
    """By the sizes that the file says: a dictionary is unpacked whole, and so is a page."""
    total = 0
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for column in map(group.column, range(group.num_columns)):
            if not any(f"{column.path_in_schema}.".startswith(f"{name}.") for name in used):
                continue
            unpacked, packed = column.total_uncompressed_size, min(size, column.total_compressed_size)
            total += unpacked
            if unpacked > max(LARGEST, PACKED * packed) or total > allowance(size):
                name = column.path_in_schema
                raise RefusedError(f"column '{name}' unpacks to {unpacked:,} bytes or more, out of proportion to its size")


def _within(batches: Iterator[Any], most: int) -> Iterator[Any]:
    """The batches as long as they hold `most` bytes together: a value that is stored once may be that of a million rows."""
    held = 0
    for batch in batches:
        held += batch.nbytes
        if held > most:
            raise RefusedError(f"its rows hold more than {most:,} bytes, out of proportion to its size")
        yield batch


def _sound(batch: Any) -> Any:
    """The batch, whose places and lengths have been checked: Arrow takes them from the file and would read anywhere."""
    batch.validate(full=True)
    return batch
