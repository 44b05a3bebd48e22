"""Tar archives, plain or compressed, read from front to end; WebDataset shards among them.

In a shard the members of a sample share the name up to the first dot, and follow each other: 0017.jpg, 0017.cls (the
index of its class), 0017.json, 0017.txt (its caption). Any other archive is a shard whose samples have one member each.
"""

import bz2
import gzip
import json
import lzma
import re
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
HEADERS = 1 << 20  # bytes of all headers of one member
FREE, PROPORTION = 1 << 24, 50  # bytes of all headers of a packed archive, and so many more for each of its own
DIGITS = 100  # in a row; Python's search for a word behind them takes the time of their square
PAX = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)


class Tar(Source):
    """A .tar archive, plain or compressed by gzip, bzip2 or xz, whatever its name says."""

    suffixes = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

    def _entries(self) -> Iterator[Entry | Rejection]:
        sample: list[_Member] = []
        with _unpacked(self.path) as stream, _opened(stream) as archive:
            try:
                for member in _members(archive, stream):
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


def _opened(stream: "_Bounded") -> tarfile.TarFile:
    return tarfile.open(fileobj=cast(IO[bytes], stream), mode="r:", tarinfo=_Header)


def _members(archive: tarfile.TarFile, stream: "_Bounded") -> Iterator[_Member]:
    """Every file; links and devices, which hold nothing, come with that as the reason."""
    while (member := archive.next()) is not None:
        kept = vars(archive)
        kept["members"].clear()  # or else it keeps them all
        kept["pax_headers"] = {  # of all members; it goes through every one for each of them
            name: value for name, value in kept["pax_headers"].items() if name in (*tarfile.PAX_FIELDS, "hdrcharset")
        }
        if not (member.isdir() or is_hidden(places(member.name))):
            stream.headers = None
            yield _Member(name=member.name, content=_content(archive, member))
        stream.headers = 0


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | str:
    stream = archive.extractfile(member) if member.isreg() and not member.issparse() else None
    if stream is None:
        return "not a regular file"
    return too_large(member.size) if member.size > LARGEST else stream.read()


@contextmanager
def _unpacked(path: Path) -> Iterator["_Bounded"]:
    size = path.stat().st_size
    with path.open("rb") as packed:
        start = packed.read(6)
    decompress = next((how for magic, how in COMPRESSIONS if start.startswith(magic)), None)
    if decompress is None:
        with path.open("rb") as plain:
            yield _Bounded(plain, size, size)
    else:
        with decompress(path) as stream:
            yield _Bounded(cast(IO[bytes], stream), allowance(size), FREE + PROPORTION * size)


class _Bounded:
    """A stream that is read from front to end, and not beyond `most`.

    Arguments:
        most: bytes.
        room: bytes of all headers.

    Attributes:
        headers: bytes of the present member's; None while its content is read.
        records: whether what is read next are records of an extended header.
    """

    def __init__(self, stream: IO[bytes], most: int, room: int) -> None:
        self.stream, self.most, self.room = stream, most, room
        self.tell = stream.tell
        self.headers: int | None = 0
        self.records = False

    def read(self, size: int) -> bytes:
        if self.headers is not None:
            self._count(size)
        if not 0 <= size <= LARGEST:
            raise RefusedError(too_large(size) if size > 0 else "damaged: a length below 0")
        found = self.stream.read(size)
        if self.tell() > self.most:
            raise self._beyond()
        if self.records:
            self.records = False
            _check(found)
        return found

    def seek(self, place: int) -> int:
        if place > self.most:
            raise self._beyond()
        if place < self.tell():  # where it would go round and round
            raise RefusedError("damaged: a header leads back to where it was")
        return self.stream.seek(place)

    def _count(self, size: int) -> None:
        assert self.headers is not None
        self.headers += size
        self.room -= size
        if self.headers > HEADERS:
            raise RefusedError(f"headers of {self.headers:,} bytes, more than the {HEADERS:,} for a member: it is damaged")
        if self.room < 0:
            raise RefusedError("its headers are out of proportion to its size: a bomb, or millions of empty files")

    def _beyond(self) -> RefusedError:
        return RefusedError(f"it goes on beyond {self.most:,} bytes, out of proportion to its size: a bomb, or cut short")


class _Header(tarfile.TarInfo):
    """One that has its records checked before Python's parser sees them."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        cast(_Bounded, archive.fileobj).records = self.type in PAX
        return cast(tarfile.TarInfo, super()._proc_member(archive))  # type: ignore[misc]


def _check(records: bytes) -> None:
    """Records such as "13 path=a.png\\n", which Python's parser takes to overlap, up to gigabytes, where one lies.

    Raises:
        RefusedError: one of them has not the length that it says, or numbers without end.
    """
    place = 0
    while records[place : place + 1].isdigit():
        digits = records[place : place + 9].partition(b" ")[0]
        record = records[place : place + int(digits)] if digits.isdigit() else b""
        if not record.endswith(b"\n") or b"=" not in record:
            raise RefusedError("damaged: a record of an extended header has not the length that it says")
        place += len(record)
    if max(map(len, re.findall(rb"\d+", records)), default=0) > DIGITS:
        raise RefusedError(f"an extended header with more than {DIGITS} digits in a row: a bomb, or damaged")
