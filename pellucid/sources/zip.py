"""Zip archives: random access, so entries come in the order in which a folder of them would be walked."""

from collections.abc import Iterator
from functools import partial
from io import BytesIO
from pathlib import PurePosixPath
from typing import IO
from zipfile import ZipFile, ZipInfo

from pellucid.core.items import Rejection
from pellucid.sources.companions import Companions
from pellucid.sources.entry import Entry
from pellucid.sources.limits import LARGEST, allowance, too_large
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source
from pellucid.sources.walk import is_hidden, places, shown

ENCRYPTED = 0x1  # a bit of a member's flags


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
    if member.flag_bits & ENCRYPTED:
        raise RefusedError("encrypted: unpack it with its password first")
    if member.file_size > LARGEST:
        raise RefusedError(too_large(member.file_size))
    return BytesIO(archive.read(member))  # never more than `file_size`, whatever is packed there
