"""Zip archives: random access, so entries come in the order in which a folder of them would be walked."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO, cast
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from pellucid.core.items import Rejection
from pellucid.sources.companions import Companions
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST, allowance, too_large
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source
from pellucid.sources.walk import is_hidden, places, shown

ENCRYPTED = 0x1  # a bit of a member's flags
METHODS = {9: "deflate64", 12: "bzip2", 14: "lzma", 93: "zstandard", 95: "xz"}
"""Names of the usual ones that are not read: they give no part of a block, so that nothing bounds what they unpack to."""
STEP = 1 << 16  # bytes unpacked at a time
WHOLE = 1 << 62  # more than any size


class Zip(Source):
    """A .zip archive; its directory is in memory, its members are unpacked one at a time."""

    suffixes = (".zip",)

    def _entries(self) -> Iterator[Entry | Rejection]:
        with ZipFile(self.path) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            unpacked = sum(member.file_size for member in members if member.file_size <= LARGEST)
            if unpacked > allowance(self.path.stat().st_size):
                raise RefusedError(f"it unpacks to {unpacked:,} bytes, out of proportion to its size")
            found = sorted(((places(member.filename), member) for member in members), key=lambda pair: pair[0])
            companions = _companions(archive, dict(found), self.column)
            for parts, member in found:
                place = "/".join(parts)
                if is_hidden(parts) or companions.is_one(place):
                    continue
                told = companions.told(place)
                yield Entry(
                    name=shown(f"{self.name}/{member.filename}"), open=partial(_open, archive, member),
                    suffix=PurePosixPath(member.filename).suffix.lower(), label=told.label, folders=parts[:-1],
                    captions=told.captions,
                )  # fmt: skip


def _companions(archive: ZipFile, members: dict[tuple[str, ...], ZipInfo], column: str | None) -> Companions:
    folders: dict[str, list[str]] = {}
    for parts in members:
        folders.setdefault("/".join(parts[:-1]), []).append("".join(parts[-1:]))

    def read(place: str) -> bytes | None:
        member = members.get(tuple(place.split("/")))
        return None if member is None else _open(archive, member).read()

    return Companions(lambda place: folders.get(place, ()), read, column)


def _open(archive: ZipFile, member: ZipInfo) -> IO[bytes]:
    if member.file_size > LARGEST:
        raise RefusedError(too_large(member.file_size))
    content = BytesIO()
    with open_member(archive, member) as stream:
        while block := stream.read(STEP):
            content.write(block)
    content.seek(0)
    return content


@contextmanager
def open_member(archive: ZipFile, member: ZipInfo) -> Iterator[IO[bytes]]:
    """A member to be read from front to end, which never gives more than the directory says.

    Raises:
        RefusedError: it is encrypted, packed in a way that cannot be bounded, or goes on beyond its size.
    """
    if member.flag_bits & ENCRYPTED:
        raise RefusedError("encrypted: unpack it with its password first")
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        method = METHODS.get(member.compress_type, f"method {member.compress_type}")
        raise RefusedError(f"packed by {method}, where stored or deflated is read: make the archive again with deflate")
    endless = copy(member)
    endless.file_size = WHOLE  # or else what goes beyond would be cut off unsaid
    with archive.open(endless) as stream:
        yield cast(IO[bytes], _Unpacking(stream, member.file_size))


class _Unpacking:
    """A stream of `most` bytes; more is refused as soon as the first of them comes."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self.stream, self.most, self.given = stream, most, 0

    def read(self, size: int) -> bytes:
        found = self.stream.read(min(size, self.most - self.given + 1))
        self.given += len(found)
        if self.given > self.most:
            raise RefusedError(f"it goes on beyond the {self.most:,} bytes that the archive promises: a bomb, or damaged")
        return found

    def tell(self) -> int:
        return self.given
