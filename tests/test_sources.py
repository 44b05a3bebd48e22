"""Archives, shards, tables and the hub: the pictures and labels of a plain folder, read in place, in bounded memory."""

import io
import json
import tarfile
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image as Pillow
from pyarrow import ipc, parquet

from pellucid.core.errors import DataError
from pellucid.core.items import Item, Origin
from pellucid.data.write import write_pack
from pellucid.sources import hub, limits, sources, tar
from pellucid.sources import zip as zip_archives
from pellucid.sources.find import find, kind_of
from pellucid.sources.source import Source
from picture_files import IMAGE, Bytes, random_bytes, read, save

NAMES = ("cat/1.png", "cat/deep/2.png", "dog/1.png", "犬/a b.png")
TARS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")


def encoded(array: Bytes, kind: str = "png") -> bytes:
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, kind)
    return stream.getvalue()


def picture(index: int) -> bytes:
    return encoded(np.full((8, 8, 3), 9 * index, np.uint8))


PICTURES = {name: picture(index) for index, name in enumerate(NAMES)}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    compression = {"gz": "gz", "tgz": "gz", "bz2": "bz2", "xz": "xz"}.get(path.name.rpartition(".")[2], "")
    with tarfile.open(str(path), f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return path


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
    """Bytes of Python's memory at most, while reading."""
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


# ----------------------------------------------------------------------------------------------------------- tables

KINDS = ("cat", "dog", "犬")


def table(column: str = "image", form: str = "struct", *, features: bool = True) -> pa.Table:
    """Six pictures in three classes as Hugging Face stores them, or as plain bytes."""
    data = [picture(index) for index in range(6)]
    cells = [{"bytes": one, "path": None} for one in data] if form == "struct" else data
    made = pa.table({"id": range(6), column: cells, "label": [index % 3 for index in range(6)]})
    facts = {column: {"_type": "Image"}, "label": {"names": list(KINDS), "_type": "ClassLabel"}}
    return made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": facts}})} if features else {})


def write_table(path: Path, made: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        parquet.write_table(made, path, row_group_size=4)
        return path
    new = ipc.new_stream if "stream" in path.name else ipc.new_file
    with pa.OSFile(str(path), "wb") as file, new(file, made.schema) as writer:
        writer.write_table(made, max_chunksize=4)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "stream.arrow", "file.arrow"])
@pytest.mark.parametrize(("column", "form", "features"), [
    ("image", "struct", True), ("photo", "bytes", True), ("x", "struct", False), ("img", "bytes", False),
])
def test_tables(tmp_path: Path, name: str, column: str, form: str, features: bool) -> None:
    path = write_table(tmp_path / "in" / name, table(column, form, features=features))
    names = KINDS if features else ("0", "1", "2")
    for place in (path, path.parent):
        items, rejected, _ = read(place)
        assert rejected == []
        assert [(item.source, item.label) for item in items] == [(f"{name}#{i}", names[i % 3]) for i in range(6)]
        assert [int(item.data.mean()) for item in items] == [9 * index for index in range(6)]


def test_cells_that_hold_no_picture(tmp_path: Path) -> None:
    cells = [
        {"bytes": picture(1), "path": None}, None, {"bytes": None, "path": "/etc/passwd"}, {"bytes": b"x", "path": None}
    ]
    made = pa.table({"image": cells, "label": [0, 1, None, 2], "other": [b"", b"", b"", b""]})
    write_table(tmp_path / "a.parquet", made)
    items, rejected, notes = read(tmp_path)
    assert [item.label for item in items] == ["0"]
    assert [one.reason for one in rejected] == [
        "an empty cell", "no bytes, only the path '/etc/passwd' of a file elsewhere", "not a picture, whatever its name says"
    ]
    assert "pictures from column 'image', labels from 'label'" in notes


def test_tables_without_pictures_and_damaged_ones(tmp_path: Path) -> None:
    write_table(tmp_path / "a.parquet", pa.table({"x": [1], "y": ["a"]}))
    whole = write_table(tmp_path / "b.parquet", table())
    whole.write_bytes(whole.read_bytes()[:-9])
    (tmp_path / "c.arrow").write_bytes(b"ARROW1\0\0")
    (tmp_path / "d.arrow").write_bytes(b"")
    save(tmp_path / "good.png", random_bytes(8, 8))
    items, rejected, _ = read(tmp_path)
    assert len(items) == 1
    assert rejected[0].reason == "no column of pictures as bytes among x, y"
    assert [one.source for one in rejected] == ["a.parquet", "b.parquet", "c.arrow", "d.arrow"]


def test_memory_does_not_grow_with_a_table(tmp_path: Path) -> None:
    """Of Arrow's, which `tracemalloc` does not see: 24 MB in row groups, read in turns."""
    data = np.random.default_rng(0).bytes(1 << 18)
    made = pa.table({"image": [picture(0), *[data] * 7]})
    with parquet.ParquetWriter(tmp_path / "a.parquet", made.schema, compression="none", use_dictionary=False) as writer:
        for _ in range(12):
            writer.write_table(made)
    pool, most = pa.default_memory_pool(), 0
    before = pool.bytes_allocated()
    for record in IMAGE.read(tmp_path / "a.parquet"):
        if isinstance(record, Item):
            most = max(most, pool.bytes_allocated() - before)
    assert 0 < most < 10 << 20


# -------------------------------------------------------------------------------------------------------------- hub


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The library, its cache in the test's own folder, offline."""
    library = pytest.importorskip("datasets")
    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    library.disable_progress_bars()
    yield library
    hub._load.cache_clear()


@pytest.mark.usefixtures("datasets")
@pytest.mark.parametrize("form", ["imagefolder", "parquet"])
def test_what_the_datasets_library_finds(tmp_path: Path, form: str) -> None:
    for split in ("train", "test"):
        if form == "parquet":
            write_table(tmp_path / "set" / "data" / f"{split}-00000-of-00001.parquet", table())
            continue
        for index, kind in enumerate(KINDS):
            save(tmp_path / "set" / split / kind / "1.png", random_bytes(1)).write_bytes(picture(index))
    expected = [KINDS[index % 3] for index in range(6)] if form == "parquet" else list(KINDS)
    for name, split in (("", "train"), (":test", "test")):
        path = Path(f"hub:{tmp_path / 'set'}{name}")
        assert IMAGE.recognises(path)
        pack = write_pack(IMAGE.read(path), tmp_path / f"pack{name.strip(':')}")
        assert [pack.label_names[label] for label in pack.labels] == expected
        assert [int(x.mean()) for x in pack.samples] == [9 * index for index in range(len(expected))]
        items = read(path)[0]
        assert items[0].source == f"hub:{tmp_path / 'set'}:{split}#0"
    with pytest.raises(DataError, match=r"has no split 'tst': did you mean 'test'\?"):
        read(Path(f"hub:{tmp_path / 'set'}:tst"))


def test_saved_to_disk(tmp_path: Path, datasets: Any) -> None:
    """A folder of `save_to_disk` is read without the library, its own files of facts passed over."""
    made = datasets.Dataset(table())
    datasets.DatasetDict({"train": made, "test": made.select([0])}).save_to_disk(tmp_path / "saved")
    items, rejected, _ = read(tmp_path / "saved" / "train")
    assert rejected == []
    assert [item.label for item in items] == [KINDS[index % 3] for index in range(6)]
    assert read(tmp_path / "saved")[1] == []


@pytest.mark.usefixtures("datasets")
def test_a_name_that_cannot_be_fetched() -> None:
    with pytest.raises(DataError, match=r"'hub:nobody/nothing' cannot be fetched: .*Is the name right, and is there a netw"):
        read(Path("hub:nobody/nothing"))


# ------------------------------------------------------------------------------------------------------------ finding


def test_a_folder_of_everything(tmp_path: Path) -> None:
    zipped(tmp_path / "a.zip", {"1.png": picture(0)})
    write_table(tmp_path / "b.parquet", table())
    tarred(tmp_path / "c.tgz", {"1.png": picture(1)})
    save(tmp_path / "d.png", random_bytes(8, 8, 3))
    assert [type(source).__name__ for source in find(tmp_path)] == ["Zip", "Table", "Tar", "File"]
    assert [item.source for item in read(tmp_path)[0]] == [
        "a.zip/1.png", *(f"b.parquet#{index}" for index in range(6)), "c.tgz/1.png", "d.png"
    ]
    assert len(list(IMAGE.files(tmp_path))) == 4
