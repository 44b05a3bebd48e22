"""One pass over all shards, which leaves an index of their samples and a sample of them, and keeps nothing else."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from pellucid.core.errors import DataError
from pellucid.core.items import Item, Record
from pellucid.data.look import Look
from pellucid.data.pack import Pack
from pellucid.data.stream import LOOK, SHARDS, Shard, Stream
from pellucid.data.write import write, write_pack


def write_index(
    shards: Iterable[tuple[str, Iterable[Record]]], folder: Path, look: Path, *, settings: Mapping[str, Any],
    fingerprint: str = "",
) -> Stream:  # fmt: skip
    """Index the items of all shards, each with its name, into `folder`, and pack some of them into `look`.

    Arguments:
        settings: what they are read with; under "survey" what the data decided.

    Raises:
        DataError: not one item, or items of different shapes.
        UserError: what is to be written cannot be.
    """
    seen, counted = Look(), _Counted()

    def finish(building: Path) -> str:
        np.save(building / LOOK, np.array(seen.kept()[0], dtype=np.int64))
        lines = (json.dumps(shard._asdict()) + "\n" for shard in counted.shards)
        (building / SHARDS).write_text("".join(lines), encoding="utf-8")
        return sha256(json.dumps([[shard.samples, shard.sha256] for shard in counted.shards]).encode()).hexdigest()

    write(seen.passing(counted.records(shards)), folder, Stream.KIND, settings, fingerprint, rows=_Passing, finish=finish)
    stream = Stream.open(folder)
    write_pack(seen.kept()[1], look, settings={**settings, "of": stream.content})
    return stream


def current_index(folder: Path, look: Path, settings: Mapping[str, Any], fingerprint: str | None) -> Stream | None:
    """The index in `folder` if it and its look are sound and were made with the same settings, and of the same files where a
    fingerprint is given.
    """
    try:
        stream, pack = Stream.open(folder), Pack.open(look)
    except DataError:
        return None
    own = stream.manifest["settings"]
    same = {name: own.get(name) for name in own.keys() - {"survey"}} == json.loads(json.dumps(settings))
    same = same and pack.manifest["settings"] == {**own, "of": stream.content}
    return stream if same and fingerprint in (None, stream.manifest["fingerprint"]) else None


@dataclass
class _Counted:
    """Shards as they pass."""

    shards: list[Shard] = field(default_factory=list)

    def records(self, shards: Iterable[tuple[str, Iterable[Record]]]) -> Iterator[Record]:
        for name, records in shards:
            count, digest = 0, sha256()
            for record in records:
                if isinstance(record, Item):
                    digest.update(record.data.tobytes())
                    count += 1
                yield record
            self.shards.append(Shard(name, count, digest.hexdigest()))


class _Passing:
    """In the place of an array that grows: rows are counted, and not kept."""

    def __init__(self, path: Path, shape: Sequence[int], dtype: DTypeLike) -> None:  # noqa: ARG002
        self.shape, self.dtype, self.count = tuple(shape), np.dtype(dtype), 0

    def append(self, row: NDArray[Any]) -> None:  # noqa: ARG002
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass
