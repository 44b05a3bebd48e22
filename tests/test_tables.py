"""Tables and the hub: pictures and labels in columns, found and read in bounded memory."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import ipc, parquet

from pellucid.core.errors import DataError
from pellucid.core.items import Item
from pellucid.data.write import write_pack
from pellucid.sources import columns as column_kinds
from pellucid.sources import hub
from pellucid.sources import table as tables
from pellucid.sources.find import find
from pellucid.sources.refused import RefusedError
from picture_files import IMAGE, picture, random_bytes, read, save, tarred, zipped

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


def test_one_value_for_many_rows(tmp_path: Path) -> None:
    """A kilobyte that is 16 MB in each of 16 rows: they come one by one, and not more of them than the file is worth."""
    made = pa.table({"image": [bytes(1 << 24)] * 16})
    parquet.write_table(made, tmp_path / "a.parquet", compression="zstd", dictionary_pagesize_limit=1 << 30)
    assert (tmp_path / "a.parquet").stat().st_size < 4096
    seen = []
    with tables._parquet(tmp_path / "a.parquet", None) as (columns, batches):
        for batch in tables._within(batches, 1 << 26):
            seen.append((batch.nbytes, columns.picture))
            if len(seen) == 3:
                break
        assert max(size for size, _ in seen) < 1 << 25
        with pytest.raises(RefusedError, match="its rows hold more than 67,108,864 bytes, out of proportion to its size"):
            list(tables._within(batches, 1 << 26))


def test_a_column_that_unpacks_to_too_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As its own header says, before anything of it is unpacked."""
    monkeypatch.setattr(tables, "LARGEST", 1 << 22)
    made = pa.table({"image": [bytes(1 << 23)] * 2, "b": [1, 2]})
    parquet.write_table(made, tmp_path / "a.parquet", compression="zstd", dictionary_pagesize_limit=1 << 30)
    save(tmp_path / "good.png", random_bytes(8, 8))
    items, (rejected,), _ = read(tmp_path)
    assert [item.source for item in items] == ["good.png"]
    assert rejected.reason.startswith("column 'image' unpacks to 8,388,")


def test_cells_are_measured_before_they_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_kinds, "LARGEST", 1 << 20)
    cells = [{"bytes": picture(1), "path": None}, {"bytes": bytes(1 << 24), "path": None}]
    made = pa.table({"image": cells, "label": ["a", "b" * (1 << 24)], "text": ["c" * (1 << 24), "d"]})
    write_table(tmp_path / "stream.arrow", made)
    tracemalloc.start()
    items, rejected, notes = read(tmp_path / "stream.arrow")
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [(item.label, item.captions) for item in items] == [("a", ())]
    assert [one.reason for one in rejected] == ["16,777,216 bytes, more than the 268,435,456 that are unpacked at once"]
    assert "labels and captions of more than 1,048,576 bytes are left out" in notes
    assert used < 8 << 20


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
        items, _, notes = read(path)
        assert items[0].source == f"hub:{tmp_path / 'set'}:{split}#0"
        assert f"split '{split}' is used, not " in notes
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
