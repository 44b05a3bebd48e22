"""Archives and shards: the pictures and labels of a plain folder, read in place, in bounded memory."""

import gc
import gzip
import io
import json
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pellucid.core.errors import DataError
from pellucid.core.items import Origin, Rejection
from pellucid.data.write import write_pack
from pellucid.sources import limits, sources, tar
from pellucid.sources import zip as zip_archives
from pellucid.sources.find import kind_of
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source
from picture_files import IMAGE, encoded, picture, random_bytes, read, save, tarred, zipped

NAMES = ("cat/1.png", "cat/deep/2.png", "dog/1.png", "犬/a b.png")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
PICTURES = {name: picture(index) for index, name in enumerate(NAMES)}


def archived(path: Path, files: dict[str, bytes]) -> Path:
    return (zipped if path.suffix == ".zip" else tarred)(path, files)


def facts(path: Path) -> list[tuple[str | None, bytes]]:
    """Labels and pixels, in order."""
    return [(item.label, item.data.tobytes()) for item in read(path)[0]]


# -------------------------------------------------------------------------------------------------------- contracts


@pytest.mark.parametrize("name", list(sources))
def test_every_kind_claims_by_name_and_rejects_what_it_cannot_read(name: str, tmp_path: Path) -> None:
    kind: type[Source] = sources[name]
    if name == "hub":
        assert kind_of(Path("hub:owner/name:test")) is kind
        return
    for suffix in kind.suffixes:
        path = tmp_path / f"A{suffix.upper()}"
        path.write_bytes(b"PK nothing of the kind")
        assert kind_of(path) is kind
        with pytest.raises(DataError, match="holds no picture that can be read"):
            read(path)
        assert IMAGE.recognises(path) == (name != "file")


# --------------------------------------------------------------------------------------------------------- archives


@pytest.mark.parametrize("suffix", [".zip", *TARS])
@pytest.mark.parametrize("top", ["", "photos/", "./"])
def test_an_archive_of_a_folder_is_that_folder(tmp_path: Path, suffix: str, top: str) -> None:
    """Same pack, bit by bit; a common top folder is no label; nothing is unpacked, and the archive is the only origin."""
    for name, data in PICTURES.items():
        save(tmp_path / "folder" / name, random_bytes(1)).write_bytes(data)
    archive = archived(tmp_path / "in" / f"a{suffix}", {top + name: data for name, data in PICTURES.items()})
    expected = write_pack(IMAGE.read(tmp_path / "folder"), tmp_path / "1")
    for number, path in enumerate((archive, archive.parent), start=2):
        pack = write_pack(IMAGE.read(path), tmp_path / str(number))
        assert pack.content == expected.content
        assert pack.label_names == ("cat", "dog", "犬")
        (origin,) = pack.sources()
        assert isinstance(origin, Origin)
        assert (origin.source, origin.size) == (archive.name, archive.stat().st_size)
    assert [path.name for path in archive.parent.iterdir()] == [archive.name]


def test_archives_in_a_folder(tmp_path: Path) -> None:
    """Each with a folder of its own: these differ, so they are labels. Without folders, the place of the archive is."""
    zipped(tmp_path / "both" / "c.zip", {"cat/1.png": picture(0)})
    tarred(tmp_path / "both" / "d.tar", {"dog/1.png": picture(1)})
    assert [label for label, _ in facts(tmp_path / "both")] == ["cat", "dog"]
    zipped(tmp_path / "flat" / "cat" / "a.zip", {"1.png": picture(0)})
    save(tmp_path / "flat" / "dog" / "1.png", random_bytes(8, 8, 3))
    items, rejected, _ = read(tmp_path / "flat")
    assert [(item.source, item.label) for item in items] == [("cat/a.zip/1.png", "cat"), ("dog/1.png", "dog")]
    assert rejected == []


@pytest.mark.parametrize("suffix", [".zip", *TARS])
def test_names_in_archives_go_nowhere(tmp_path: Path, suffix: str) -> None:
    wild = ("../../out.png", "/tmp/absolute.png", "..\\up.png", "a/../../b.png", "new\nline.png", "x" * 300 + ".png")
    inside = archived(tmp_path / "deep" / "in" / f"a{suffix}", dict.fromkeys(wild, picture(1)))
    before = sorted(tmp_path.rglob("*"))
    items, rejected, _ = read(inside)
    assert (len(items), rejected) == (len(wild), [])
    assert sorted(tmp_path.rglob("*")) == before
    assert not Path("/tmp/absolute.png").exists()


@pytest.mark.parametrize("suffix", [".zip", ".tar"])
def test_odd_members_are_named_and_the_rest_is_read(tmp_path: Path, suffix: str) -> None:
    path = archived(tmp_path / f"a{suffix}", {
        "good.png": picture(1), "empty.png": b"", "cut.png": picture(1)[:45], "notes.txt": b"milk", "text.jpg": b"no",
        "inner.zip": b"PK", ".DS_Store": b"x", "__MACOSX/._good.png": b"x", "deep/.hidden/a.png": picture(1),
    })  # fmt: skip
    items, rejected, _ = read(path)
    assert [item.source for item in items] == [f"a{suffix}/good.png"]
    reasons = {one.source.removeprefix(f"a{suffix}/"): one.reason for one in rejected}
    assert set(reasons) == {"empty.png", "cut.png", "notes.txt", "text.jpg", "inner.zip"}
    assert reasons["empty.png"] == "an empty file"
    assert "damaged" in reasons["cut.png"]
    assert "does not end like a picture's" in reasons["inner.zip"]


def test_links_and_devices_in_a_tar(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for name, kind in (("soft.png", tarfile.SYMTYPE), ("hard.png", tarfile.LNKTYPE), ("pipe.png", tarfile.FIFOTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("good.png")
        member.size = len(picture(0))
        archive.addfile(member, io.BytesIO(picture(0)))
    items, rejected, _ = read(tmp_path / "a.tar")
    assert len(items) == 1
    assert {one.reason for one in rejected} == {"not a regular file"}
    assert len(rejected) == 3


def test_encrypted_zip(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"1.png": picture(0)})
    data = bytearray(path.read_bytes())
    for mark, place in ((b"PK\1\2", 8), (b"PK\3\4", 6)):  # the flags in the directory, and before the member
        data[data.index(mark) + place] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"For example 'a\.zip/1\.png': encrypted"):
        read(path)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.xz"])
def test_of_a_cut_archive_the_beginning_is_read(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    noise = {f"{index}.png": encoded(rng.integers(0, 256, (64, 64, 3), np.uint8)) for index in range(8)}
    path = tarred(tmp_path / f"a{suffix}", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 5 // 8])
    items, rejected, _ = read(path)
    assert 1 <= len(items) < 8
    assert rejected[-1].source == path.name
    assert rejected[-1].reason


# ----------------------------------------------------------------------------------------------------------- bombs


def peak(path: Path) -> int:
    """Bytes of Python's memory at most, while reading; the least of three, for other tests' leftovers count too."""
    return min(_peak(path) for _ in range(3))


def _peak(path: Path) -> int:
    gc.collect()
    tracemalloc.start()
    try:
        read(path)
    finally:
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return used


@pytest.mark.parametrize("suffix", [".zip", ".tar", ".tar.gz"])
def test_giants_are_refused_by_size(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (limits, tar, zip_archives):
        monkeypatch.setattr(module, "LARGEST", 1 << 20)
    path = archived(tmp_path / f"a{suffix}", {"0.png": picture(0), "big.png": bytes(1 << 25), "z.png": picture(1)})
    items, rejected, _ = read(path)
    assert len(items) == 2
    assert [one.reason for one in rejected] == ["33,554,432 bytes, more than the 1,048,576 that are unpacked at once"]
    assert peak(path) < 8 << 20


@pytest.mark.parametrize("suffix", [".zip", ".tar.gz"])
def test_bombs_are_refused_by_proportion(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred megabytes in a hundred kilobytes, in members that are each small enough."""
    for module in (tar, zip_archives):
        monkeypatch.setattr(module, "allowance", lambda packed: (1 << 20) + 200 * packed)
    path = archived(tmp_path / "in" / f"a{suffix}", {f"{index}.png": bytes(1 << 22) for index in range(25)})
    save(path.parent / "good.png", random_bytes(8, 8))
    items, rejected, _ = read(path.parent)
    assert [item.source for item in items] == ["good.png"]
    assert "out of proportion to its size" in rejected[-1].reason
    assert peak(path.parent) < 32 << 20


def test_a_header_that_promises_too_much_is_not_believed(tmp_path: Path) -> None:
    """A tar's extended header of a terabyte."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    (tmp_path / "a.tar").write_bytes(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 12))
    save(tmp_path / "good.png", random_bytes(8, 8))
    _, rejected, _ = read(tmp_path)
    assert "bytes, more than the" in rejected[0].reason
    assert peak(tmp_path) < 8 << 20


@pytest.mark.parametrize(("method", "why"), [
    (zipfile.ZIP_DEFLATED, "goes on beyond the 100 bytes that the archive promises"), (zipfile.ZIP_BZIP2, "packed by bzip2"),
    (zipfile.ZIP_LZMA, "packed by lzma, where stored or deflated is read"),
])  # fmt: skip
def test_a_member_of_a_zip_that_is_longer_than_the_directory_says(tmp_path: Path, method: int, why: str) -> None:
    """32 MB in a few hundred bytes or kilobytes, of which the directory says that they are 100 bytes."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("1.png", bytes(1 << 25))
    data = bytearray(path.read_bytes())
    for mark, where in ((b"PK\1\2", 24), (b"PK\3\4", 22)):
        struct.pack_into("<I", data, data.index(mark) + where, 100)
    path.write_bytes(data)
    save(tmp_path / "good.png", random_bytes(8, 8))
    items, (rejected,), _ = read(tmp_path)
    assert [item.source for item in items] == ["good.png"]
    assert why in rejected.reason
    assert _peak(tmp_path) < 4 << 20


# ------------------------------------------------------------------------------------------------- headers of a tar


def header(kind: bytes, size: int = 0, name: str = "a.png") -> bytes:
    """A block, of any size that it may claim."""
    made = tarfile.TarInfo(name)
    made.type, made.size = kind, size
    return made.tobuf(tarfile.GNU_FORMAT)


def records(payload: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    """An extended header."""
    return header(kind, len(payload)) + payload + bytes(-len(payload) % 512)


def sparse(blocks: int) -> bytes:
    """A file with holes without end: each block of them says that another follows."""
    first = bytearray(header(tarfile.GNUTYPE_SPARSE))
    first[482] = 1
    first[148:156] = b" " * 8
    first[148:156] = f"{sum(first):06o}\0 ".encode()
    return bytes(first) + (b"00000000001\0" * 42 + b"\1" + bytes(7)) * blocks


EMPTY = header(tarfile.REGTYPE)
HEADERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "holes": (lambda: sparse(1 << 12), "headers of 1,049,088 bytes, more than the 1,048,576 for a member"),
    "long": (lambda: records(b"6 a=b\n" * (1 << 18)), "bytes, more than the 1,048,576 for a member"),
    "overlapping": (lambda: records(b"4 1 " * (1 << 12) + b"="), "has not the length that it says"),
    "digits": (lambda: records(b"32776 a=" + b"1" * 32767 + b"\n"), "more than 100 digits in a row"),
    "back": (lambda: EMPTY + header(tarfile.REGTYPE, -512) + bytes(1024), "leads back to where it was"),
    "below": (lambda: header(tarfile.XHDTYPE, -512) + bytes(1024), "a length below 0"),
    "many": (lambda: EMPTY * 5000, "its headers are out of proportion to its size"),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_headers_of_a_tar_that_are_meant_to_harm(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is a few kilobytes, and took Python's parser seconds, for ever, or memory without end."""
    monkeypatch.setattr(tar, "FREE", 1 << 20)
    make, why = HEADERS[name]
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(make() + bytes(1024), 9))
    found = list(islice(tar.Tar(path=path, name="a.tar.gz").entries(), 5000))
    assert isinstance(found[-1], Rejection)
    assert why in found[-1].reason
    if name != "many":
        assert len(found) <= 3
        tracemalloc.start()
        list(islice(tar.Tar(path=path, name="a.tar.gz").entries(), 3))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert used < 8 << 20


def test_a_header_for_all_members_is_not_gone_through_for_each(tmp_path: Path) -> None:
    """But what it says of them counts."""
    payload = b"".join(b"12 k%05d=v\n" % k for k in range(20_000))
    member = header(tarfile.REGTYPE, len(picture(0))) + picture(0) + bytes(-len(picture(0)) % 512)
    (tmp_path / "a.tar").write_bytes(records(payload, tarfile.XGLTYPE) + member * 1500 + bytes(1024))
    start = time.process_time()
    found = list(tar.Tar(path=tmp_path / "a.tar", name="a.tar").entries())
    assert len(found) == 1500
    assert time.process_time() - start < 1.5


def test_reading_ends_where_an_archive_may_end() -> None:
    """Not only seeking does."""
    stream = tar._Bounded(io.BytesIO(bytes(4096)), 1024, 4096)
    assert [len(stream.read(512)) for _ in range(2)] == [512, 512]
    with pytest.raises(RefusedError, match="it goes on beyond 1,024 bytes"):
        stream.read(512)


def test_memory_does_not_grow_with_an_archive(tmp_path: Path) -> None:
    pictures = {count: {f"{index:05d}.png": picture(index % 20) for index in range(count)} for count in (20, 600)}
    small, large = (peak(tarred(tmp_path / f"{count}.tar", files)) for count, files in pictures.items())
    items = 600 * (3 * 64 + 600)  # what the test itself keeps
    assert large - small < items


# ---------------------------------------------------------------------------------------------------------- shards


def shards(folder: Path, label: str) -> Path:
    """Two shards of three samples, of JPEG or PNG, with the label in this form."""
    for shard in range(2):
        files: dict[str, bytes] = {}
        for index in range(3):
            key, kind = f"set/{shard}{index:04d}", "jpeg" if index else "png"
            files[f"{key}.{kind}"] = encoded(np.full((8, 8, 3), 100 * shard + 9 * index, np.uint8), kind)
            files[f"{key}.txt"] = b"a caption"
            files[f"{key}.{label}"] = str(index).encode() if label == "cls" else json.dumps({"label": f"c{index}"}).encode()
        tarred(folder / f"train-{shard:06d}.tar", files)
    return folder


@pytest.mark.parametrize(("form", "labels"), [("cls", ["0", "1", "2"]), ("json", ["c0", "c1", "c2"])])
def test_webdataset(tmp_path: Path, form: str, labels: list[str]) -> None:
    folder = shards(tmp_path / "web", form)
    items, rejected, _ = read(folder)
    assert rejected == []
    assert [item.label for item in items] == labels * 2
    assert [int(item.data.mean()) for item in items] == [0, 9, 18, 100, 109, 118]
    assert [item.label for item in read(folder / "train-000001.tar")[0]] == labels


def test_a_sample_may_have_many_pictures_and_an_odd_label(tmp_path: Path) -> None:
    path = tarred(tmp_path / "a.tar", {
        "0.left.png": picture(0), "0.right.png": picture(1), "0.cls": b" 7\n", "1.png": picture(2), "1.json": b"{not json",
        "2.png": picture(3), "2.json": b'{"label": [1]}', "3.json": b"{}",
    })  # fmt: skip
    items, rejected, _ = read(path)
    assert [item.label for item in items] == ["7", "7", None, None]
    assert [one.source for one in rejected] == ["a.tar/3.json"]
