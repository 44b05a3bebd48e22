"""Samples that stay in their shards: an index of them on the disk, and a few shards at a time, decoded, in memory.

    labels.npy, captions.txt, captions.npy, sources.jsonl, manifest.json     as a pack has them
    shards.jsonl    one line for each shard: its name, how many samples it has, SHA-256 of them as they are decoded
    look.npy        the ids of the samples of which the run has a copy to look at

The index is made in one pass over all shards, and is what a run that resumes goes by: a shard that holds something else by
then is refused.
"""

import json
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.items import Item, Record
from pellucid.data.pack import Pack
from pellucid.data.shelf import Shelf
from pellucid.data.windows import Windows

SHARDS, LOOK = "shards.jsonl", "look.npy"
MIB = 1 << 20
IN_MEMORY = 3
"""Windows: two where a batch lies on the edge of both, and the next."""

Records = Callable[[int], Iterable[Record]]


class Shard(NamedTuple):
    """As it was when the index was made."""

    name: str
    samples: int
    sha256: str


class Stream(Pack):
    """A pack whose samples are read when training comes to them: `connect` says from where.

    Its order is that of windows, and only the shards of the windows at hand are in memory; so samples are to be asked for in
    the order of `stream`, which wants their shards.
    """

    KIND: ClassVar[str] = "stream"
    KEEPS: ClassVar[bool] = False

    def __init__(self, folder: Path, manifest: Any) -> None:
        super().__init__(folder, manifest)
        lines = (folder / SHARDS).read_text(encoding="utf-8").splitlines()
        self.shards = [Shard(**json.loads(line)) for line in lines]
        self.bounds = np.cumsum([0, *(shard.samples for shard in self.shards)])
        self.look: NDArray[np.int64] = np.load(folder / LOOK, allow_pickle=False)

    def connect(self, records: Records, memory: int) -> None:
        """Read shard `number` by `records(number)`, and hold no more than `memory` MiB of samples.

        Raises:
            ConfigError: that is too little for these shards.
        """
        largest = max(shard.samples for shard in self.shards) * self.octets
        self.room, self._records, self.shelf = memory * MIB, records, Shelf(self._read)
        everything = len(self) * self.octets
        if everything > self.room < IN_MEMORY * largest:
            raise ConfigError(
                f"data.memory = {memory} MiB does not hold {IN_MEMORY} shards, of which the largest has {largest / MIB:.1f} "
                f"MiB when decoded: set data.memory={-(-IN_MEMORY * largest // MIB)}, or write smaller shards"
            )
        self.width = len(self.shards) if everything <= self.room else self.room // (IN_MEMORY * largest)

    @property
    def octets(self) -> int:
        """Bytes of a sample."""
        return int(np.prod(self.shape)) * self.samples.dtype.itemsize

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.manifest["shape"])

    def stream(self, seed: int, start: int, n: int, among: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        windows = self._windows(seed, among)
        places, now = windows(start, n)
        later = [shard for shard in windows.after(start + n - 1) if shard not in now]
        self.shelf.want([*now, *(later if self._bytes(now + later) <= self.room else ())])
        return places if among is None else among[places]

    def __getitem__(self, ids: NDArray[np.integer]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        shards = np.searchsorted(self.bounds, ids, side="right") - 1
        found = np.empty((len(ids), *self.shape), self.samples.dtype)
        for shard in np.unique(shards).tolist():
            here = shards == shard
            found[here] = self.shelf(shard)[np.asarray(ids)[here] - self.bounds[shard]]
        return found, self.labels[ids]

    def _windows(self, seed: int, among: NDArray[np.int64] | None) -> Windows:
        """The same object at each call, since it remembers how epochs lie."""
        known = getattr(self, "_known", None)
        if known is None or known[0] != seed or known[1] is not among:
            bounds = self.bounds if among is None else np.searchsorted(among, self.bounds)
            self._known = known = (seed, among, Windows(seed, bounds, self.width))
        windows: Windows = known[2]
        return windows

    def _bytes(self, shards: Iterable[int]) -> int:
        return self.octets * sum(self.shards[shard].samples for shard in shards)

    def _read(self, number: int) -> NDArray[Any]:
        """A shard's samples, which have to be those of the index."""
        shard, count, digest = self.shards[number], 0, sha256()
        found = np.empty((shard.samples, *self.shape), self.samples.dtype)
        why = ""
        for record in self._records(number):
            if isinstance(record, Item):
                if count < shard.samples and record.data.shape == self.shape:
                    found[count] = record.data
                digest.update(record.data.tobytes())
                count += 1
            else:
                why = why or f" ({getattr(record, 'reason', '')})"
        if (count, digest.hexdigest()) != (shard.samples, shard.sha256):
            raise DataError(
                f"The shard '{shard.name}' is not what it was when it was indexed: {count} samples could be read{why}, "
                f"expected {shard.samples} of the same content. Put back what was there and go on with --resume, or start a "
                "new run"
            )
        return found

    def _samples(self) -> NDArray[Any]:
        return np.empty((0, *self.manifest["shape"]), self.manifest["dtype"])

    def _damage(self) -> str:
        if int(self.bounds[-1]) != self.manifest["count"]:
            return f"{SHARDS} has {self.bounds[-1]} samples, expected {self.manifest['count']}"
        return super()._damage()
