"""Tar archives, plain or compressed, read from front to end; WebDataset shards among them.

In a shard the members of a sample share the name up to the first dot, and follow each other: 0017.jpg, 0017.cls (the
index of its class), 0017.json, 0017.txt (its caption). Any other archive is a shard whose samples have one member each.
"""

import bz2
import gzip
import json
import lzma
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, cast

from pellucid.core.items import Rejection
from pellucid.sources.companions import NOTHING, Told, told
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST, allowance, too_large
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source
from pellucid.sources.walk import is_hidden, places, shown

COMPRESSIONS = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
COMPANIONS = (".cls", ".json", ".txt")  # what belongs to a picture of the same name
MOST = 64  # members of a sample


class Tar(Source):
    """A .tar archive, plain or compressed by gzip, bzip2 or xz, whatever its name says."""

    suffixes = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

    def _entries(self) -> Iterator[Entry | Rejection]:
        sample: list[_Member] = []
        with _unpacked(self.path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            try:
                for member in _members(archive):
                    if not (sample and member.follows(sample)):
                        yield from self._sample(sample)
                        sample = []
                    sample.append(member)
            except Exception:
                yield from self._sample(sample)
                raise
            yield from self._sample(sample)

    def _sample(self, members: list["_Member"]) -> Iterator[Entry]:
        facts = [member.told(self.column) for member in members]
        label = next((fact.label for fact in facts if fact.label is not None), None)
        captions = next((fact.captions for fact in facts if fact.captions), ())
        things = [member for member in members if member.suffix not in COMPANIONS] or members
        for thing in things:
            yield Entry(
                name=shown(f"{self.name}/{thing.name}"), open=thing.open, suffix=thing.suffix, label=label,
                folders=places(thing.name)[:-1], captions=captions,
            )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class _Member:
    """A member of an archive, its bytes read, or the reason why they were not."""

    name: str
    content: bytes | str

    @property
    def key(self) -> str:
        folder, slash, name = self.name.rpartition("/")
        return folder + slash + name.partition(".")[0]

    @property
    def suffix(self) -> str:
        return Path(self.name).suffix.lower()

    def follows(self, sample: list["_Member"]) -> bool:
        """Whether it belongs to a sample, which takes no more than so many members and bytes."""
        held = sum(len(member.content) for member in sample) + len(self.content)
        return self.key == sample[-1].key and len(sample) < MOST and held <= LARGEST

    def open(self) -> IO[bytes]:
        if isinstance(self.content, str):
            raise RefusedError(self.content)
        return BytesIO(self.content)

    def told(self, column: str | None) -> Told:
        """What a .cls, .txt or .json member says of the others; captions of a .json from this key, if one is given."""
        if self.suffix not in COMPANIONS or isinstance(self.content, str):
            return NOTHING
        text = self.content.decode("utf-8", "replace").strip()
        if self.suffix == ".cls":
            return Told(label=text or None)
        if self.suffix == ".txt":
            return told({"caption": text}) if column is None else NOTHING
        try:
            facts = json.loads(text)
        except (ValueError, RecursionError):
            return NOTHING
        return told(facts, column) if isinstance(facts, dict) else NOTHING


def _members(archive: tarfile.TarFile) -> Iterator[_Member]:
    """Every file; links and devices, which hold nothing, come with that as the reason."""
    while (member := archive.next()) is not None:
        vars(archive)["members"].clear()  # or else it keeps them all
        if not (member.isdir() or is_hidden(places(member.name))):
            yield _Member(name=member.name, content=_content(archive, member))


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | str:
    stream = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if stream is None:
        return "not a regular file"
    return too_large(member.size) if member.size > LARGEST else stream.read()


@contextmanager
def _unpacked(path: Path) -> Iterator[IO[bytes]]:
    with path.open("rb") as packed:
        start = packed.read(6)
    decompress = next((how for magic, how in COMPRESSIONS if start.startswith(magic)), None)
    if decompress is None:
        with path.open("rb") as plain:
            yield cast(IO[bytes], _Bounded(plain, path.stat().st_size))
    else:
        with decompress(path) as stream:
            yield cast(IO[bytes], _Bounded(cast(IO[bytes], stream), allowance(path.stat().st_size)))


class _Bounded:
    """A stream that reads no more than LARGEST at once, nor beyond `most`."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream, self.most = stream, most
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if size > LARGEST:  # of a header, which says so falsely
            raise RefusedError(too_large(size))
        return self.stream.read(size)

    def seek(self, place: int) -> int:
        if place > self.most:
            raise RefusedError(f"it goes on beyond {self.most:,} bytes, out of proportion to its size: a bomb, or cut short")
        return self.stream.seek(place)
