"""Samples that are read from shards as training comes to them: each once in a pass, within bounds, to the same bits."""

import io
import json
import os
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from pellucid.core.errors import ConfigError, DataError, InterruptedRunError, UnsupportedError, UserError
from pellucid.data.pack import Pack
from pellucid.data.shelf import Shelf
from pellucid.data.stream import MIB, Stream
from pellucid.data.windows import Windows
from pellucid.sources import store
from pellucid.sources.shards import shards
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import assemble
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.ranks import Ranks
from pellucid.training.train import train
from test_resume import Watch, assert_same_bits

SHARDS, EACH, SIDE = 6, 20, 8
QUICK = ("data.stream=true", "network.name=mlp", "network.width=16", "network.depth=2", "training.batch=16",
         "training.checkpoint_samples=64", "training.warmup=64", "training.log_samples=16", "training.evaluate=false",
         "sampling.steps=2", "data.condition=label")  # fmt: skip
PATTERN = "part-{000..005}.tar"


def png(value: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(value).integers(0, 256, (SIDE, SIDE), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def tar_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in members.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            archive.addfile(facts, io.BytesIO(content))
    return stream.getvalue()


def shard(number: int) -> bytes:
    """Twenty pictures with a class and a caption each; one of all is none."""
    members: dict[str, bytes] = {}
    for i in range(number * EACH, (number + 1) * EACH):
        members[f"{i:05d}.png"] = b"no picture" if i == 45 else png(i)
        members[f"{i:05d}.cls"] = str(i % 3).encode()
        members[f"{i:05d}.txt"] = f"picture number {i}".encode()
    return tar_of(members)


def table(path: Path, first: int, count: int) -> None:
    import pyarrow as pa
    from pyarrow.parquet import write_table

    numbers = range(first, first + count)
    write_table(pa.table({"image": [{"bytes": png(i), "path": None} for i in numbers], "label": [i % 3 for i in numbers],
                          "caption": [f"picture number {i}" for i in numbers]}), path)  # fmt: skip


class Stop(Watch):
    """An observer that is told how the index comes along."""

    def tell(self, name: str, text: str) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("shards")
    for number in range(SHARDS):
        (found / f"part-{number:03d}.tar").write_bytes(shard(number))
    return found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setattr(store, "PAUSES", (0.0, 0.0, 0.0))


def configured(path: Path | str, *settings: str) -> RunConfig:
    return apply_settings(RunConfig(), [f"data.path={path}", "training.samples=64", *QUICK, *settings])


def opened(path: Path | str, place: Path, *settings: str) -> Prepared:
    return prepare(configured(path, *settings), place / "data", tell=lambda _name, _text: None)


def narrow(prepared: Prepared, width: int) -> Stream:
    """A stream that may hold windows of so many shards, to the byte."""
    stream = prepared.stream
    assert stream is not None
    stream.width, stream.room = width, 3 * width * EACH * stream.octets
    return stream


# ------------------------------------------------------------------------------------------------------------- order


@pytest.mark.parametrize(("sizes", "width"), [([20] * 6, 2), ([3, 0, 50, 7, 1], 2), ([5], 4), ([4, 9, 2, 8, 8, 1, 30], 3)])
def test_each_sample_comes_once_in_each_epoch(sizes: list[int], width: int) -> None:
    """In whatever parts it is asked for, in another order each time."""
    windows, count = Windows(3, np.cumsum([0, *sizes]), width), sum(sizes)
    whole = windows(0, 3 * count)[0]
    for epoch in whole.reshape(3, count):
        assert sorted(epoch.tolist()) == list(range(count))
    assert count < 9 or not np.array_equal(whole[:count], whole[count : 2 * count])
    for start in range(0, 2 * count, 7):
        np.testing.assert_array_equal(windows(start, 7)[0], whole[start : start + 7])


def test_windows_shuffle_shards_and_the_samples_in_them() -> None:
    """Of a window come samples of all of its shards, mixed; the shards that are named are those that are needed."""
    windows = Windows(0, np.arange(0, 1001, 100), 2)
    first, shards_now = windows(0, 200)
    assert set((first // 100).tolist()) == set(shards_now)
    assert len(shards_now) == 2
    assert 35 < int((first[:100] // 100 == shards_now[0]).sum()) < 65  # about half of the first hundred
    assert set(windows.after(0)) == set(windows(200, 1)[1])


# ------------------------------------------------------------------------------------------------------------ memory


def test_memory_is_bounded_and_every_shard_read_once_in_each_pass(folder: Path, tmp_path: Path) -> None:
    """Three windows at most, whatever is read ahead; samples are those of a pack of the same data."""
    stream = narrow(opened(folder / PATTERN, tmp_path), 1)
    whole = prepare(configured(folder, "data.stream=false"), tmp_path / "pack").pack
    assert (len(stream), stream.label_names) == (len(whole), whole.label_names) == (119, ("0", "1", "2"))
    reads: Counter[int] = Counter()
    read = stream._records
    stream._records = lambda number: (reads.update([number]), read(number))[1]
    for start in range(0, 119, 7):
        ids = stream.stream(0, start, min(7, 119 - start))
        samples, labels = stream[ids]
        np.testing.assert_array_equal(samples, whole[ids][0])
        np.testing.assert_array_equal(labels, whole[ids][1])
        assert [stream.captions(i) for i in ids.tolist()] == [whole.captions(i) for i in ids.tolist()]
        assert stream.shelf.held <= stream.room
    assert 0 < stream.shelf.most <= stream.room < len(whole) * stream.octets
    assert set(reads.values()) <= {1, 2}  # two where the next pass has begun
    assert len(reads) == SHARDS


def test_too_little_memory_is_refused_with_what_is_enough(folder: Path, tmp_path: Path) -> None:
    stream = opened(folder / PATTERN, tmp_path).stream
    assert stream is not None
    with pytest.raises(ConfigError, match=r"data.memory = 0 MiB does not hold 3 shards.* set data.memory=1,"):
        stream.connect(stream._records, 0)


def test_the_next_shards_are_read_while_nobody_asks() -> None:
    """In the background; an error is raised when its shard is asked for, and asking again reads again."""
    tried: Counter[int] = Counter()

    def read(number: int) -> Any:
        tried[number] += 1
        if number == 2 and tried[2] == 1:
            raise DataError("not now")
        return np.full((2, 1), number)

    shelf = Shelf(read)
    shelf.want([0, 1])
    assert shelf(1)[0] == 1
    assert shelf(0)[0] == 0
    shelf.want([1, 2, 3])
    with pytest.raises(DataError, match="not now"):
        shelf(2)
    shelf.want([1, 2, 3])
    assert [int(shelf(number)[0, 0]) for number in (1, 2, 3)] == [1, 2, 3]
    assert tried[0] == 1
    with pytest.raises(ValueError, match="not among"):
        shelf(0)


# ------------------------------------------------------------------------------------------------------ runs and ranks


def test_a_stopped_run_goes_on_to_the_same_bits_by_its_index(folder: Path, tmp_path: Path) -> None:
    """Without reading the shards that it has passed, and with data that has moved."""
    length: dict[str, Any] = {"samples": 320, "settings": (*QUICK, "training.held_out=12")}
    train(folder / PATTERN, tmp_path / "whole", **length)
    with pytest.raises(InterruptedRunError):
        train(folder / PATTERN, tmp_path / "run", observer=Stop(stop_at=144), **length)
    moved = tmp_path / "moved"
    moved.mkdir()
    for path in folder.iterdir():
        os.link(path, moved / path.name)
    index = (tmp_path / "run" / "stream" / "manifest.json").stat()
    train(moved / PATTERN, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "stream" / "manifest.json").stat() == index
    for name in ("model.safetensors", f"checkpoints/{320:012d}.safetensors"):
        assert_same_bits(*(load_file(tmp_path / run / name) for run in ("run", "whole")))
    assert not (tmp_path / "run" / "stream" / "samples.npy").exists()


@pytest.mark.parametrize("size", [1, 2, 4])
def test_ranks_part_the_batches_of_one_process(size: int, folder: Path, tmp_path: Path) -> None:
    """Each opens the index of the first, and sees its share of the same samples."""
    config = configured(folder / PATTERN, "training.held_out=12")
    alone = assemble(config, opened(folder / PATTERN, tmp_path))[2]
    seen: list[int] = []
    for start in range(0, 128, 16):
        whole = alone(start, 16)
        seen += whole.ids.tolist()
        for rank in range(size):
            part = assemble(config, opened(folder / PATTERN, tmp_path))[2] if start == 0 else alone
            mine = part(*Ranks(rank, size).share(start, 16))
            at = slice(rank * 16 // size, (rank + 1) * 16 // size)
            for name in ("x0", "eps", "t"):
                torch.testing.assert_close(getattr(mine, name), getattr(whole, name)[at], rtol=0, atol=0)
    count = len(alone.among) if alone.among is not None else 0
    assert count == 119 - 12
    assert len(set(seen[:count])) == count
    assert alone.among is not None
    assert set(seen) == set(alone.among.tolist())


def test_the_look_is_a_pack_of_samples_and_of_every_label(folder: Path, tmp_path: Path) -> None:
    prepared = opened(folder / PATTERN, tmp_path)
    assert prepared.stream is not None
    look = Pack.open(tmp_path / "data")
    assert look.label_names == prepared.stream.label_names
    ids = prepared.stream.look
    np.testing.assert_array_equal(look.labels, prepared.stream.labels[ids])
    assert prepared.stream.rejections()[0].source == "part-002.tar/00045.png"


# ------------------------------------------------------------------------------------------------- where shards lie


def test_parquet_and_a_store_give_what_tar_gives(folder: Path, tmp_path: Path) -> None:
    """The same samples, whatever they lie in."""
    memory = fsspec.filesystem("memory")
    for path in folder.iterdir():
        memory.pipe(f"/bucket/{path.name}", path.read_bytes())
    local = opened(folder, tmp_path / "local").stream
    remote = opened(f"memory://bucket/{PATTERN}", tmp_path / "remote").stream
    assert local is not None
    assert remote is not None
    assert local.content == remote.content
    again = opened(Path(f"memory://bucket/{PATTERN}"), tmp_path / "remote").stream  # a path has one slash less
    assert again is not None
    assert again.content == remote.content
    for number, first in enumerate((0, 20)):
        table(tmp_path / f"t-{number}.parquet", first, 20)
    tables = opened(tmp_path / "t-{0..1}.parquet", tmp_path / "tables").stream
    assert tables is not None
    ids = np.arange(20)
    tables.shelf.want([0, 1])
    local.shelf.want([0])
    np.testing.assert_array_equal(tables[ids][0], local[ids][0])
    assert tables.captions(3) == local.captions(3) == ("picture number 3",)


def test_shards_are_named_by_pattern_folder_and_list(folder: Path, tmp_path: Path) -> None:
    want = [str(folder / f"part-{number:03d}.tar") for number in range(SHARDS)]
    (tmp_path / "list.txt").write_text("\n".join(reversed(want)) + "\n")
    assert shards(str(folder / PATTERN)) == want == shards(str(folder)) == shards(str(folder / "*.tar"))
    assert shards(str(tmp_path / "list.txt")) == want[::-1]
    memory = fsspec.filesystem("memory")
    memory.pipe("/globbed/b.tar", b"")
    memory.pipe("/globbed/a.tar", b"")
    memory.pipe("/globbed/notes.md", b"")
    assert [name[-14:] for name in shards("memory:/globbed/*.tar")] == ["/globbed/a.tar", "/globbed/b.tar"]
    assert shards("memory://globbed") == shards("memory:/globbed/*.tar")
    with pytest.raises(DataError, match="names no shard"):
        shards(str(tmp_path / "*.tar"))
    with pytest.raises(DataError, match="no shard that can be streamed"):
        shards(str(tmp_path / "list.md"))


class Flaky:
    """A store that fails some times before it answers."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    def info(self, path: str) -> dict[str, int]:  # noqa: ARG002
        return {"size": 3}

    def get_file(self, path: str, copy: str) -> None:  # noqa: ARG002
        if self.errors:
            raise self.errors.pop(0)
        Path(copy).write_bytes(b"abc")


def test_a_store_that_fails_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    broken, pauses = Flaky(ConnectionError("reset"), TimeoutError("slow"), OSError("again")), list[float]()
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda place: (broken, place))
    monkeypatch.setattr(store, "PAUSES", (1.0, 4.0, 16.0))
    monkeypatch.setattr(store, "sleep", pauses.append)
    with store.fetched("s3://bucket/a.tar") as path:
        assert path.read_bytes() == b"abc"
    assert not path.exists()
    assert pauses == [1.0, 4.0, 16.0]


def behind(cause: Exception) -> Exception:
    """As fsspec tells of what a web server answers."""
    error = FileNotFoundError("a.tar")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(("error", "told"), [
    (FileNotFoundError("a.tar"), "There is no shard 's3://bucket/a.tar': has it been moved"),
    (ImportError("Install s3fs to access S3"), "needs a package beside fsspec.*s3fs"),
    (ValueError("Protocol not known: s4"), "is no address that fsspec knows: Protocol not known"),
    (PermissionError("Access Denied"), "No access to 's3://bucket/a.tar'.*AWS_ACCESS_KEY_ID"),
    (RuntimeError("Unable to locate credentials"), "No access to"),
    (behind(ConnectionError("refused")), "cannot be read, after 4 attempts: refused"),
    (behind(RuntimeError("404, message='Not Found'")), "There is no shard"),
    (ConnectionError("reset by peer"), "cannot be read, after 4 attempts: reset by peer"),
])
def test_what_a_store_refuses_is_told(error: Exception, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the shard, and what to do."""
    broken = Flaky(*[error] * 9)
    monkeypatch.setattr(fsspec.core, "url_to_fs", lambda place: (broken, place))
    with pytest.raises(UserError, match=told), store.fetched("s3://bucket/a.tar"):
        pass


# ------------------------------------------------------------------------------------------------------------- errors


def test_a_shard_that_changes_or_goes_after_the_index_ends_the_run_by_name(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    for path in folder.iterdir():
        (own / path.name).write_bytes(path.read_bytes())
    stream = opened(own, tmp_path).stream
    assert stream is not None
    whole = (own / "part-001.tar").read_bytes()
    (own / "part-001.tar").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"'part-001.tar' is not what it was .* samples could be read.* expected 20"):
        stream._read(1)
    (own / "part-001.tar").unlink()
    with pytest.raises(DataError, match=r"There is no shard '.*part-001.tar'"):
        stream._read(1)
    with pytest.raises(DataError, match=r"'part-001.tar' is gone"):
        prepare(configured(own), tmp_path / "data", started=True, tell=lambda _name, _text: None)


def test_damaged_shards_give_what_can_be_read_of_them(tmp_path: Path) -> None:
    """As in a pack, and listed as there; a list of nothing but them is refused."""
    whole = shard(0)
    (tmp_path / "a.tar").write_bytes(whole[: 30 * 1024 + 550])  # in the midst of a picture
    (tmp_path / "b.tar").write_bytes(shard(1))
    stream = opened(tmp_path / "{a,b}.tar", tmp_path, "data.condition=none").stream
    assert stream is not None
    assert 0 < stream.shards[0].samples < EACH == stream.shards[1].samples
    assert [one.source for one in stream.rejections()][-1].startswith("a.tar")
    (tmp_path / "c.tar").write_bytes(b"nothing of the kind")
    with pytest.raises(DataError, match="holds no picture that can be read"):
        opened(tmp_path / "c.tar", tmp_path / "none")


def test_what_is_not_streamed_is_refused(folder: Path, tmp_path: Path) -> None:
    """Other kinds of data, stages before the denoiser's, addresses without the setting, commands that need all data."""
    with pytest.raises(UnsupportedError, match=r"reads pictures, not yet modality.name = sound"):
        opened(folder, tmp_path, "modality.name=sound")
    with pytest.raises(UnsupportedError, match="not what goes before it"):
        train(folder, tmp_path / "run", samples=64, settings=QUICK, latent=True)
    with pytest.raises(ConfigError, match=r"add --set data.stream=true"):
        prepare(configured("s3://bucket/a.tar", "data.stream=false"), tmp_path / "data")
    with pytest.raises(UnsupportedError, match="for training alone"):
        prepare(configured(folder), tmp_path / "data")
    settings = json.loads(configured(folder).model_dump_json())["data"]
    assert (settings["stream"], settings["memory"] * MIB) == (True, 1 << 30)
