"""Input that is meant to harm: bombs, lengths and depths without end, places outside, script, code; and that none is run."""

import bz2
import gzip
import json
import lzma
import re
import struct
import tarfile
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from PIL.PngImagePlugin import PngInfo

from pellucid.core.errors import ConfigError, DataError, ModelError
from pellucid.core.items import Item, Rejection
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.modalities import delimited
from pellucid.modalities.arrays import ArrayFile
from pellucid.modalities.moment import ways
from pellucid.modalities.series import Series
from pellucid.model.config import ModelConfig
from pellucid.model.files import read_model, read_tensors, write_tensors
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from picture_files import IMAGE, picture, read, tarred, zipped
from served import small_model

SCRIPT = "<script>alert(1)</script>"
DEEP = 100_000


def peak(work: Callable[[], Any]) -> int:
    """Bytes of Python's memory at most."""
    tracemalloc.start()
    try:
        work()
    finally:
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return used


# ----------------------------------------------------------------------------------------------------------- bombs


def test_a_packed_table_that_unpacks_to_too_much(tmp_path: Path) -> None:
    """Thirty megabytes in two hundred kilobytes, which would be gigabytes as cells."""
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n" * (8 << 20), 1))

    def refused() -> None:
        with pytest.raises(DataError, match="out of proportion to its size"):
            list(Series().read(path))

    assert path.stat().st_size < 1 << 20
    assert peak(refused) < 64 << 20


@pytest.mark.parametrize("value", [1.5, "x" * 100_000])
def test_a_columnar_file_of_few_bytes_and_many_cells(tmp_path: Path, value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal values are stored once."""
    monkeypatch.setattr(delimited, "FREE", 1 << 18)
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    count = 200_000 if isinstance(value, float) else 20_000
    indices = pa.array(np.zeros(count, np.int32))
    column = pa.DictionaryArray.from_arrays(indices, pa.array([value]))
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({f"c{k}": column for k in range(4)}), path, store_schema=False)

    def refused() -> None:
        with pytest.raises(DataError, match="out of proportion to its size"):
            list(Series().read(path))

    assert path.stat().st_size < 1 << 18
    assert peak(refused) < 1 << 28


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_of_every_packer_is_no_archive(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    """Zeros, a header with a false length, and what is no archive at all."""
    (tmp_path / "good.png").write_bytes(picture(1))
    header = tarfile.TarInfo("big.png")
    header.size = 1 << 50
    (tmp_path / "false.tar.gz").write_bytes(pack(header.tobuf() + bytes(1 << 20)))
    (tmp_path / "zeros.tgz").write_bytes(pack(bytes(1 << 26)))
    items, rejected, _ = read(tmp_path)
    assert [item.source for item in items] == ["good.png"]
    assert {one.source.partition("/")[0] for one in rejected} == {"false.tar.gz", "zeros.tgz"}
    assert peak(lambda: read(tmp_path)) < 32 << 20


def test_a_scan_that_unpacks_to_too_much(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    from pellucid.modalities.scan import Scan

    head = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4)).header
    head.set_data_shape((30_000, 30_000, 30_000))
    head["magic"], head["vox_offset"] = b"n+1", 352
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(head.binaryblock + bytes(1 << 22)))
    with pytest.raises(DataError, match="more than 134,217,728 values"):
        list(Scan().read(tmp_path / "a.nii.gz"))


# -------------------------------------------------------------------------------------------------------- metadata


def hostile_png() -> bytes:
    """A text that unpacks to 64 MB, a colour profile that is none, EXIF that points into nothing."""
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    whole, bomb = picture(3), zlib.compress(bytes(1 << 26), 9)
    exif = b"MM\0*" + struct.pack(">IH", 8, 60_000) + struct.pack(">HHII", 0x0112, 12, 1 << 31, 1 << 31)
    more = chunk(b"iCCP", b"x\0\0" + bomb) + chunk(b"eXIf", exif) + chunk(b"zTXt", b"Comment\0\0" + bomb)
    return whole[:33] + more + whole[33:]


def test_metadata_of_pictures_harms_nobody(tmp_path: Path) -> None:
    """What tells of a picture is refused with it, or not looked at; the picture beside it is read."""
    (tmp_path / "hostile.png").write_bytes(hostile_png())
    told = PngInfo()
    told.add_text("Title", SCRIPT)
    Pillow.new("RGB", (8, 8), 9).save(tmp_path / "told.png", pnginfo=told)
    exif = Pillow.Exif()
    exif[0x010E], exif[0x0112] = SCRIPT + "\0" * 50_000, 99
    Pillow.new("RGB", (8, 8), 9).save(tmp_path / "exif.jpg", exif=exif)
    records = list(IMAGE.read(tmp_path))
    assert {"told.png", "exif.jpg"} <= {one.source for one in records if isinstance(one, Item)}
    assert SCRIPT not in str([vars(one) for one in records if not isinstance(one, Item)])
    assert peak(lambda: list(IMAGE.read(tmp_path))) < 16 << 20


@pytest.mark.parametrize("length", [0, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_a_model_file_whose_header_has_a_false_length(tmp_path: Path, length: int) -> None:
    file = tmp_path / "a.safetensors"
    file.write_bytes(length.to_bytes(8, "little") + b'{"__metadata__":{}}' + bytes(64))
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        read_model(file)


@pytest.mark.parametrize("place", [[0, 1 << 40], [-1, 4], [8, 4], [0, 4]])
def test_a_model_file_whose_tensors_lie_outside(tmp_path: Path, place: list[int]) -> None:
    """Or are of more values than there are bytes."""
    header = json.dumps({"x": {"dtype": "F32", "shape": [1 << 30], "data_offsets": place}}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(ModelError, match="not a readable safetensors file"):
        read_model(tmp_path / "a.safetensors")


@pytest.mark.parametrize(("part", "setting", "value", "why"), [
    ("network", "depth", 10**9, "network.depth = 1000000000"), ("network", "width", "9" * 12, "network.width = '999"),
    ("network", "width", 10**400, "cannot be of"), ("codec", "blocks", [1, 10**8], "codec.blocks"),
    ("network", "width", 17, "do not fit"), ("denoiser", "sketch", 10**9, "denoiser.sketch"),
])  # fmt: skip
def test_a_model_file_that_asks_for_a_giant(tmp_path: Path, part: str, setting: str, value: Any, why: str) -> None:
    """A few bytes in its metadata, of which building the network would take all memory, or hours."""
    made = small_model()
    made.config = made.config.model_copy(update={part: {**getattr(made.config, part), setting: value}})
    made.save(tmp_path)
    with pytest.raises(ModelError, match=re.escape(why)):
        Model.load(tmp_path)


def test_an_empty_tensor_allows_no_giant(tmp_path: Path) -> None:
    """A side of a billion takes no bytes where another side is 0."""
    made = small_model()
    made.config = made.config.model_copy(update={"network": {**made.config.network, "depth": 10**9}})
    made.save(tmp_path)
    metadata, tensors = read_tensors(tmp_path / "model.safetensors")
    write_tensors(tmp_path / "model.safetensors", {**tensors, "none": torch.zeros(0, 10**9)}, metadata)
    with pytest.raises(ModelError, match=re.escape("network.depth = 1000000000")):
        Model.load(tmp_path)


def test_a_model_file_of_endless_samples(tmp_path: Path) -> None:
    """Their shape is no setting: here the memory says no."""
    made = small_model()
    made.facts = made.facts.model_copy(update={"shape": (3, 10**9, 10**9)})
    made.save(tmp_path)
    with pytest.raises(ModelError, match="asks for a network that cannot be made"):
        Model.load(tmp_path)


HEADERS_OF_ARRAYS = {
    "objects": "{'descr': '|O', 'fortran_order': False, 'shape': (4,)}",
    "records": "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (4,)}",
    "negative": "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, -3)}",
    "endless": "{'descr': '<f8', 'fortran_order': True, 'shape': (99999, 99999, 99)}",
    "open": "{'descr': '|u1', 'fortran_order': False, 'shape': (4,",
    "deep": "(" * 9000,
    "call": "{'descr': __import__('os').system('true'), 'fortran_order': False, 'shape': (4,)}",
}


@pytest.mark.parametrize("name", HEADERS_OF_ARRAYS)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_headers_of_arrays(tmp_path: Path, name: str, suffix: str) -> None:
    """They are Python's own notation: none of it is run, and what is wrong is said as of any other file."""
    text = HEADERS_OF_ARRAYS[name].encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(24)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npz":
        zipped(path, {"images.npy": content})
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(path))):
        ArrayFile.open(path, "images" if suffix == ".npz" else None)


# ----------------------------------------------------------------------------------------------------------- depth


def test_lists_in_lists_without_end(tmp_path: Path) -> None:
    """Python's parsers give up by an error of their own, which is none of the usual ones."""
    deep = "[" * DEEP
    (tmp_path / "a.png").write_bytes(picture(1))
    (tmp_path / "metadata.jsonl").write_text(f'{deep}\n{{"file_name": "a.png", "text": "one"}}\n')
    tarred(tmp_path / "b.tar", {"1.png": picture(2), "1.json": deep.encode(), "2.png": picture(3)})
    items, rejected, _ = read(tmp_path)
    assert [item.source for item in items] == ["a.png", "b.tar/1.png", "b.tar/2.png"]
    assert items[0].captions == ("one",)
    assert rejected == []
    (tmp_path / "deep.toml").write_text(f"seed = {deep}")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load_recipe(tmp_path / "deep.toml")
    with pytest.raises(ConfigError, match="seed"):
        apply_settings(RunConfig(), [f"seed={deep}"])


@pytest.mark.parametrize("text", [
    "network" + ".a" * 20_000 + " = 1", f"[{'network.' * 50_000}]", "network = " + "{a = " * 100,
])  # fmt: skip
def test_keys_of_parts_without_end(tmp_path: Path, text: str) -> None:
    """Of which Python's parser keeps each with all before it: two gigabytes of forty kilobytes."""
    (tmp_path / "a.toml").write_text(text + "1" + "}" * text.count("{"))

    def refused() -> None:
        with pytest.raises(ConfigError, match=r"32|not valid TOML"):
            load_recipe(tmp_path / "a.toml")

    assert peak(refused) < 8 << 20


def test_settings_in_sections_without_end() -> None:
    with pytest.raises(ConfigError, match="more than 32 deep"):
        apply_settings(RunConfig(), ["network" + ".a" * 300 + "=1"])
    assert apply_settings(RunConfig(), ["sampling.guidance_interval=[0.1, 0.9]"]).sampling["guidance_interval"] == [0.1, 0.9]


@pytest.mark.parametrize("setting", ["seed=" + "9" * 5000, "training.samples=1e999", "training.minutes=nan", "seed=-1"])
def test_numbers_without_end(setting: str) -> None:
    with pytest.raises(ConfigError):
        apply_settings(RunConfig(), [setting])


def test_settings_without_end_are_kept(tmp_path: Path) -> None:
    """JSON has no word for infinity; a configuration that holds one is still what is read again."""
    config = apply_settings(RunConfig(), ["sampling.guidance_interval=[0.1, inf]"])
    config.save(tmp_path / "a.toml")
    assert load_recipe(tmp_path / "a.toml") == config
    assert ModelConfig.model_validate_json(config.model_part().model_dump_json()) == config.model_part()


# ---------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("content", [b"\xff\xfe\0\0", b"a;b\n\"1;2\n3", b"word,word\nx,y\nz,w\n", b"\n"])
def test_a_lone_table_that_cannot_be_read_is_the_users(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(DataError, match="no series to be read"):
        list(Series().read(tmp_path / "a.csv"))


def test_tables_whose_columns_share_a_name(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    columns = [pa.array(np.arange(24) ** power) for power in (2, 3)]
    parquet.write_table(pa.Table.from_arrays(columns, names=["a", "a"]), tmp_path / "a.parquet")
    items = [one for one in Series().read(tmp_path / "a.parquet") if isinstance(one, Item)]
    assert items[0].data[:, 2].tolist() == [4.0, 8.0]


def test_lengths_in_a_table_of_arrow_are_checked(tmp_path: Path) -> None:
    """Offsets of cells that lie outside of the file would have memory read that is none of it."""
    pa = pytest.importorskip("pyarrow")
    from pyarrow import ipc

    batch = pa.record_batch({"image": [picture(1), picture(2)]})
    places = np.cumsum([0, len(picture(1)), len(picture(2))]).astype("<i4").tobytes()
    with ipc.new_stream(str(tmp_path / "a.arrow"), batch.schema) as writer:
        writer.write_batch(batch)
    content = (tmp_path / "a.arrow").read_bytes()
    assert content.count(places) == 1
    (tmp_path / "a.arrow").write_bytes(content.replace(places, np.array([0, 1 << 30, 1 << 30], "<i4").tobytes()))
    (tmp_path / "good.png").write_bytes(picture(1))
    records = list(IMAGE.read(tmp_path))
    assert [one.source for one in records if isinstance(one, Item)] == ["good.png"]
    assert [one.source for one in records if isinstance(one, Rejection)] == ["a.arrow"]


DAMAGES: dict[str, tuple[str, bytes]] = {
    "line": ("sources.jsonl", b"{not json"), "depth": ("sources.jsonl", b"[" * DEEP), "kind": ("sources.jsonl", b'{"a": 1}'),
    "hashes": ("manifest.json", b""), "notes": ("manifest.json", b""), "manifest": ("manifest.json", b"[" * DEEP),
    "empty": ("captions.npy", b""), "places": ("captions.npy", b""),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_packs_that_others_made(tmp_path: Path, name: str) -> None:
    """Sizes and hashes are as the manifest says, since whoever made it wrote that too."""
    items = [Item(source=str(k), data=np.full((1, 2, 2), k, np.uint8), captions=("a",)) for k in range(3)]
    folder = write_pack(iter(items), tmp_path / "pack").folder
    place, content = DAMAGES[name]
    manifest = json.loads((folder / "manifest.json").read_text())
    if name in ("hashes", "notes"):
        (manifest["files"]["samples.npy"] if name == "hashes" else manifest).pop("sha256" if name == "hashes" else "notes")
        (folder / place).write_text(json.dumps(manifest))
    elif name == "places":
        np.save(folder / place, np.array([0, 5, 2, 9]))
    else:
        (folder / place).write_bytes(content)
    if place != "manifest.json":
        manifest["files"][place]["size"] = (folder / place).stat().st_size
        (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match="Pack the data again"):
        list(Pack.open(folder).sources())


def test_a_pack_names_no_file_outside(tmp_path: Path) -> None:
    folder = write_pack(iter([Item(source="a", data=np.zeros((1, 2, 2), np.uint8))]), tmp_path / "pack").folder
    secret = tmp_path / "secret"
    secret.write_bytes(b"1234")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["../secret"] = {"size": 4, "sha256": "0"}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DataError, match=r"\.\./secret is no file in it"):
        Pack.open(folder)


def test_a_moment_of_four_hundred_digits_is_none() -> None:
    """More seconds than a number holds; what is plausible is still read."""
    assert ways([400 * "9"]) == []
    assert [way.format for way in ways(["1700000000"])] == ["seconds"]
