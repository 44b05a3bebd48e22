"""Readers of data: files of each kind, as training reads them."""

import gzip
import io
import zipfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fuzzing import seeds
from fuzzing.case import Case, FindingError, Reader
from fuzzing.mutate import WORDS, mutated
from pellucid.core.errors import DataError
from pellucid.core.items import Item, Rejection
from pellucid.modalities.image import Image
from pellucid.modalities.modality import Modality
from pellucid.modalities.read_picture import read_picture
from pellucid.modalities.scan import Scan
from pellucid.modalities.series import Series
from pellucid.modalities.sound import Sound
from pellucid.modalities.text import Text
from pellucid.modalities.video import Video

MEMORY = ("MemoryError", "nable to allocate", "cannot allocate", "not enough memory", "bad_alloc")
"""Words of a rejection from which it is seen that too much memory was asked for."""
NAMES = (
    "../../out.png", "/tmp/absolute.png", "..\\up.png", "a/../../b.png", "new\nline.png", "x" * 255 + ".png", "",
    ".", "/", "//a.png",
    "C:\\a.png", "a\0b.png", "metadata.jsonl", "metadata.csv", "cat/metadata.jsonl", "\u202egnp.exe", "a.png/", "<b>.png",
    "\ud800.png", "labels.txt", "a.tar", "a.zip", "1.txt", "1.json", "1.cls",
)  # fmt: skip


@dataclass
class Files(Reader):
    """One file, by the kind of data that it is.

    Arguments:
        kind: of data.
        found: sound files, given a folder.
        words: tokens of the formats.
        inner: makes a file from the changed content of a packed one; None where nothing is packed.
    """

    kind: Callable[[], Modality]
    found: Callable[[Path], Iterable[Case]]
    words: Sequence[bytes] = ()
    inner: Callable[[Case, Random], Case | None] | None = None

    def seeds(self, folder: Path) -> list[Case]:
        return list(self.found(folder))

    def read(self, case: Case, folder: Path) -> str:
        file = folder / f"train{case.suffix}"
        file.write_bytes(case.data)
        return whole(self.kind(), file)

    def deeper(self, case: Case, rng: Random) -> Case | None:
        return self.inner(case, rng) if self.inner else None


class Beside(Reader):
    """What tells of the pictures in a folder."""

    words = (b"file_name", b"caption", b"a.png", b"../a.png", b"./b.png", b"text", b"label", b"/etc/passwd", b"prompt")

    def seeds(self, folder: Path) -> list[Case]:  # noqa: ARG002
        return list(seeds.companions())

    def read(self, case: Case, folder: Path) -> str:
        inside = folder / "pictures"
        inside.mkdir(exist_ok=True)
        for name in ("a.png", "b.png"):
            (inside / name).write_bytes(seeds.picture())
        (inside / case.suffix).write_bytes(case.data)
        try:
            return whole(Image(), inside)
        finally:
            (inside / case.suffix).unlink()


class Sent(Reader):
    """A single picture, as it is sent to be edited."""

    words = (b"IHDR", b"Exif\0\0", b"JFIF", b"RIFF", b"WEBP", b"IDAT", b"zTXt", b"iCCP", b"\xff\xe1", b"MM\0*")

    def seeds(self, folder: Path) -> list[Case]:  # noqa: ARG002
        return list(seeds.pictures())

    def read(self, case: Case, folder: Path) -> str:
        file = folder / f"sent{case.suffix}"
        file.write_bytes(case.data)
        pixels, _ = read_picture(file, 3)
        return "read" if pixels.ndim == 3 else "odd"


def whole(kind: Modality, path: Path) -> str:
    """Read all there is.

    Raises:
        DataError: nothing can be read.
        FindingError: what came does not fit together, or a reason tells of our own fault.
    """
    shapes, count = set[Any](), 0
    for record in kind.read(path):
        if isinstance(record, Item):
            shapes.add((record.data.shape, record.data.dtype))
            count += 1
        elif isinstance(record, Rejection):
            if any(word in record.reason for word in MEMORY):
                raise FindingError(f"memory: {record.reason[:200]}")
            if not record.reason.strip():
                raise FindingError("a rejection without a reason")
    if len(shapes) > 1:
        raise FindingError(f"items of different shapes: {sorted(map(str, shapes))[:3]}")
    if not count:
        raise DataError("nothing in it")
    return "read"


def gunzipped(case: Case, rng: Random) -> Case | None:
    """A gzipped file whose content is changed."""
    try:
        content = gzip.decompress(case.data)
    except (OSError, EOFError, ValueError, Exception):
        return None
    return Case(case.suffix, gzip.compress(mutated(Case("", content), [], (), [""], rng).data, 1))


def rezipped(case: Case, rng: Random) -> Case | None:
    """An archive of changed members under wild names."""
    if case.suffix.endswith("gz") and "idx" in case.suffix:
        return gunzipped(case, rng)
    if case.suffix == ".npz":
        return _npz(case, rng)
    names = [*seeds.members(), *NAMES]
    files = {}
    for _ in range(rng.randrange(6)):
        name, content = rng.choice(names), rng.choice(list(seeds.members().values()))
        if rng.random() < 0.5:
            content = mutated(Case("", content), [], (), [""], rng).data
        files[name] = rng.choice((content, content, rng.choice(WORDS)))
    files = {name.encode("utf-8", "replace").decode(): content for name, content in files.items()}
    if case.suffix == ".zip" or case.suffix not in seeds.PACKERS:
        return Case(".zip", seeds.zipped(files, rng.choice((0, 8))))
    links = {"l.png": rng.choice(("/etc/passwd", "../secret", "cat/1.png", "l.png"))} if rng.random() < 0.5 else {}
    plain = seeds.tarred(files, links)
    if rng.random() < 0.5:
        plain = mutated(Case("", plain), [], (b"ustar", b"././@LongLink", b"x", b"path="), [""], rng).data
    return Case(case.suffix, seeds.PACKERS[case.suffix](plain))


def _npz(case: Case, rng: Random) -> Case | None:
    try:
        with zipfile.ZipFile(io.BytesIO(case.data)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # a damaged one
        return None
    words = (b"'descr': '|O'", b"'shape': (", b"<f8", b"True", b"|V8", b"'<U9'", b"-1")
    changed = {name: mutated(Case("", data), [], words, [""], rng).data for name, data in files.items()}
    return Case(case.suffix, seeds.zipped(changed, rng.choice((0, 8))))


PICTURE = Sent.words
SOUND = (b"RIFF", b"fmt ", b"data", b"fLaC", b"OggS", b"FORM", b"COMM", b".snd", b"ID3", b"LIST")
FILM = (b"moov", b"ftyp", b"mdat", b"\x1aE\xdf\xa3", b"GIF89a", b"NETSCAPE2.0", b"ANIM", b"ANMF", b"acTL", b"fcTL", b"idx1")
TABLE = (b"PAR1", b"ARROW1", b"huggingface", b'{"info":{"features":{"image":{"_type":"Image"}}}}', b"label",
         b"image", b"bytes")
NUMBERS = (b"NaN", b"1e308", b"2024-02-30", b"12:60", b"1,5", b'""', b'"', b";", b"\t", b"date", b"inf", b"9999-12-31", b"-")
SCAN = (b"DICM", b"n+1\0", b"n+2\0", b"OB", b"SQ", b"UN", b"\xfe\xff\x00\xe0", b"\x28\x00\x10\x00", b"\xff\xff\xff\xff")
READERS: dict[str, Callable[[], Reader]] = {
    "picture": Sent,
    "pictures": lambda: Files(Image, lambda _: seeds.pictures(), PICTURE),
    "arrays": lambda: Files(Image, lambda _: seeds.arrays(), (b"'descr'", b"'shape': ", b"|O", b"NUMPY"), rezipped),
    "archives": lambda: Files(Image, lambda _: seeds.archives(), (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"ustar"), rezipped),
    "tables": lambda: Files(Image, lambda _: seeds.tables(), TABLE),
    "beside": Beside,
    "series": lambda: Files(Series, lambda _: seeds.series(), NUMBERS, gunzipped),
    "texts": lambda: Files(Text, lambda _: seeds.texts(), (b'{"text":', b'"source"', b'"target"', b"%\n", b"\n\n")),
    "sounds": lambda: Files(Sound, lambda _: seeds.sounds(), SOUND),
    "films": lambda: Files(lambda: Video(frames=4), lambda _: seeds.films(), FILM),
    "scans": lambda: Files(Scan, seeds.scans, SCAN, gunzipped),
}
"""Of data, by name."""


