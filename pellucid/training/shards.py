"""Checkpoints of which each rank writes its own rows, read again by as many ranks as there are.

    000000012800.safetensors           what is the same on all ranks, and which shards belong to it; written last
    000000012800.0-of-2.safetensors    the rows of rank 0

A shard says of each tensor its first row and how many there are in all. The first file has their checksums, so that none
is taken from another time or run. A reader takes the rows that it wants from wherever they are, one file after the other.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from pellucid.model.files import SUM, read_tensors, write_tensors
from pellucid.training.sharding import like, own, parted, rows_here

FORMAT = "pellucid-shard-1"
Layout = Callable[[str], Tensor | None]
"""The tensor of which a reader wants the same rows as are here, and parted in the same way; None: all rows."""


def shard_file(path: Path, rank: int, size: int) -> Path:
    """Of a checkpoint's file."""
    return path.with_name(f"{path.stem}.{rank}-of-{size}.safetensors")


def shard_files(path: Path) -> list[Path]:
    """All that are there, of any number of ranks."""
    return sorted(path.parent.glob(f"{path.stem}.*-of-*.safetensors"))


def write_shard(path: Path, tensors: Mapping[str, Tensor], rank: int, size: int) -> str:
    """Write the rows that are here of those that are parted; returns their checksum."""
    mine = {name: value for name, value in tensors.items() if parted(value)}
    places = {name: (rows_here(value)[0], value.shape[0]) for name, value in mine.items()}
    metadata = {"format": FORMAT, "rows": json.dumps(places)}
    return write_tensors(shard_file(path, rank, size), {name: own(value) for name, value in mine.items()}, metadata)


def read_rows(path: Path, sums: list[str], tensors: dict[str, Tensor], layout: Layout) -> dict[str, Tensor]:
    """All tensors of a checkpoint, as far as they are wanted: those in its first file, `tensors`, and those in its shards.

    Raises:
        OSError: a shard cannot be read.
        SafetensorError, ValueError: it is damaged, or that of another checkpoint.
    """
    found, parts = dict[str, Tensor](), dict[str, Tensor]()
    for name, first, count, rows in _pieces(path, sums, tensors):
        target = layout(name)
        if target is not None and (not rows.ndim or target.shape != (count, *rows.shape[1:])):
            target = None  # such as a number that the optimiser keeps beside a matrix
        begin, end = (0, count) if target is None else rows_here(target)
        if (first, len(rows) if rows.ndim else count) == (begin, end):
            found[name] = rows
        else:
            into = found.setdefault(name, torch.empty(end - begin, *rows.shape[1:], dtype=rows.dtype))
            low, high = max(begin, first), max(begin, first, min(end, first + len(rows)))
            into[low - begin : high - begin] = rows[low - first : high - first]
        if target is not None:
            parts[name] = target
    return {name: like(rows, parts[name]) if name in parts else rows for name, rows in found.items()}


def _pieces(path: Path, sums: list[str], tensors: dict[str, Tensor]) -> Iterator[tuple[str, int, int, Tensor]]:
    """(name, first row, rows in all, rows)."""
    for name, value in tensors.items():
        yield name, 0, len(value) if value.ndim else 1, value
    for rank, expected in enumerate(sums):
        file = shard_file(path, rank, len(sums))
        metadata, rows = read_tensors(file)
        if metadata.get(SUM) != expected:
            raise ValueError(f"'{file.name}' belongs to another checkpoint")
        for name, (first, count) in json.loads(metadata["rows"]).items():
            yield name, first, count, rows[name]
