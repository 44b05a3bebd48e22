"""A folder of odd files among good ones: reading never ends, never writes elsewhere, and leaves no file unnamed."""

import gzip
import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from PIL import Image as Pillow

from pellucid.core.errors import DataError
from pellucid.core.items import Item, Origin, Rejection
from pellucid.data.write import write_pack
from pellucid.sources.walk import shown
from picture_files import IMAGE, random_bytes, tarred, zipped

FORMATS = {
    "png": "png", "jpg": "jpeg", "webp": "webp", "gif": "gif", "bmp": "bmp", "tif": "tiff", "ppm": "ppm", "npy": "npy",
    "zip": "zip", "tar": "tar", "tgz": "tgz", "parquet": "parquet", "arrow": "arrow",
}  # fmt: skip


def whole(kind: str) -> bytes:
    """A sound file."""
    if kind in ("zip", "tar", "tgz"):
        with TemporaryDirectory() as folder:
            make = zipped if kind == "zip" else tarred
            return make(Path(folder) / f"a.{kind}", {"a.png": whole("png")}).read_bytes()
    array, stream = random_bytes(24, 32, 3), io.BytesIO()
    if kind == "npy":
        np.save(stream, array)
    elif kind in ("parquet", "arrow"):
        import pyarrow as pa
        from pyarrow import ipc, parquet

        made = pa.table({"image": [whole("png")] * 3, "label": [0, 1, 2]})
        if kind == "parquet":
            parquet.write_table(made, stream)
        else:
            with ipc.new_stream(stream, made.schema) as writer:
                writer.write_table(made)
    else:
        Pillow.fromarray(array).save(stream, FORMATS[kind])
    return stream.getvalue()


WHOLE = {kind: whole(kind) for kind in FORMATS}


def huge_png(width: int, height: int, packed: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def truncated(rng: np.random.Generator) -> tuple[str, bytes]:
    kind = str(rng.choice(list(FORMATS)))
    return kind, WHOLE[kind][: int(rng.integers(0, len(WHOLE[kind])))]


def flipped(rng: np.random.Generator) -> tuple[str, bytes]:
    """Some bytes changed, more likely in the header."""
    kind = str(rng.choice(list(FORMATS)))
    data = bytearray(WHOLE[kind])
    for place in (len(data) * rng.random(int(rng.integers(1, 9))) ** 3).astype(int):
        data[place] = int(rng.integers(0, 256))
    return kind, bytes(data)


def misnamed(rng: np.random.Generator) -> tuple[str, bytes]:
    return str(rng.choice([*FORMATS, "txt", "mp4", "PNG", ""])), WHOLE[str(rng.choice(list(FORMATS)))]


def nothing(rng: np.random.Generator) -> tuple[str, bytes]:
    return str(rng.choice(list(FORMATS))), bytes(int(rng.integers(0, 3)) * 500)


def noise(rng: np.random.Generator) -> tuple[str, bytes]:
    kind = str(rng.choice(list(FORMATS)))
    return kind, WHOLE[kind][: int(rng.integers(0, 12))] + rng.bytes(int(rng.integers(1, 2000)))


def narrow(rng: np.random.Generator) -> tuple[str, bytes]:
    stream = io.BytesIO()
    Pillow.new("RGB", [(1, 300), (300, 1), (1, 1)][int(rng.integers(0, 3))]).save(stream, "png")
    return "png", stream.getvalue()


ODD: tuple[Callable[[np.random.Generator], tuple[str, bytes]], ...] = (truncated, flipped, misnamed, nothing, noise, narrow)
NAMES = (
    "{}", "ü犬{}", "new\nline{}", "x" * 200 + "{}", " {}", "{}.tmp", "-{}", "quote'\"{}", "\x1b[31m{}", "deep/er/{}", "c{}/x"
)  # fmt: skip


def fill(folder: Path, seed: int, count: int = 60) -> int:
    """Odd files and three good pictures; returns how many files in all must be named."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        suffix, data = ODD[index % len(ODD)](rng)
        path = folder / (NAMES[int(rng.integers(0, len(NAMES)))].format(index) + (f".{suffix}" if suffix else ""))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for name in ("good.png", "deep/good.webp", "good.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(WHOLE[name.rpartition(".")[2]])
    return count + 3


def everything(folder: Path) -> set[Path]:
    return set(folder.rglob("*"))


@pytest.mark.parametrize("seed", range(12))
def test_every_file_is_read_or_named(tmp_path: Path, seed: int) -> None:
    folder = tmp_path / "in"
    count = fill(folder, seed)
    before = {path: path.stat().st_mtime_ns for path in everything(tmp_path)}
    pack = write_pack(IMAGE.read(folder), tmp_path / "out")
    named = [source.source for source in pack.sources()]
    files = {shown(str(path.relative_to(folder))) for path in folder.rglob("*") if path.is_file()}
    assert len(files) == count
    assert [file for file in files if not any(f"{name}/".startswith((f"{file}/", f"{file}#")) for name in named)] == []
    assert all(source.reason.strip() for source in pack.rejections())
    assert {"good.png", "deep/good.webp", "good.jpg"} <= {one.source for one in pack.sources() if isinstance(one, Origin)}
    assert pack.shape[0] == 3
    pack.verify()
    after = {path: path.stat().st_mtime_ns for path in everything(tmp_path) if tmp_path / "out" not in (path, *path.parents)}
    assert after == before


def test_what_is_no_plain_file(tmp_path: Path) -> None:
    """Links, pipes, sockets of the kind, folders with a picture's name, hidden files, and names that are no text."""
    folder = tmp_path / "in"
    (folder / "folder.png").mkdir(parents=True)
    for place in ("a.png", "folder.png/inside.png", ".hidden.png", "._a.png", ".DS_Store", "Thumbs.db"):
        (folder / place).write_bytes(WHOLE["png"])
    (tmp_path / "secret.png").write_bytes(WHOLE["png"])
    links = {
        "out.png": tmp_path / "secret.png", "circle": folder, "up": tmp_path, "gone.png": folder / "none",
        "self.png": "self.png",
    }  # fmt: skip
    for name, target in links.items():
        (folder / name).symlink_to(target)
    (folder / "same.png").symlink_to(folder / "a.png")
    os.mkfifo(folder / "pipe.png")
    raw = Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png"))
    raw.write_bytes(WHOLE["png"])
    records = list(IMAGE.read(folder))
    assert [(item.source, item.label) for item in records if isinstance(item, Item)] == [
        ("a.png", None), ("folder.png/inside.png", "folder.png"), ("same.png", None), ("??.png", None)
    ]
    assert {one.source for one in records if isinstance(one, Rejection)} == {*links, "pipe.png"}
    assert len(write_pack(iter(records), tmp_path / "out")) == 4  # such names can be written down


def test_without_permission() -> None:
    """As root, who may read everything, somebody else is played."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "good.png").write_bytes(WHOLE["png"])
        for kind in ("jpg", "npy", "zip", "tar", "parquet", "arrow"):
            (folder / f"a.{kind}").write_bytes(WHOLE[kind])
            (folder / f"a.{kind}").chmod(0)
        (folder / "locked").mkdir(mode=0)
        folder.chmod(0o755)
        me = os.geteuid()
        try:
            os.seteuid(me or 65534)
            rejected = [one for one in IMAGE.read(folder) if isinstance(one, Rejection)]
        finally:
            os.seteuid(me)
    assert [one.source for one in rejected] == ["a.arrow", "a.jpg", "a.npy", "a.parquet", "a.tar", "a.zip", "locked"]
    assert all("Permission denied" in one.reason for one in rejected)


BOMBS = {
    "wide.png": huge_png(20_000, 20_000, zlib.compress(bytes(1000))),
    "false.png": huge_png(60_000, 1, zlib.compress(bytes(1 << 26), 9)),  # far more than its pixels
    "text.png": WHOLE["png"][:33] + struct.pack(">I", 0) + WHOLE["png"][37:],
    "bomb.gif": b"GIF89a" + struct.pack("<HH", 60_000, 60_000) + WHOLE["gif"][10:],
    "bomb.bmp": b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, 30_000, 30_000, 1, 24, 0) + bytes(60),
    "bomb.ppm": b"P6 40000 40000 255\n" + bytes(100),
    "bomb.npy": b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999, 99999)}".ljust(118),
}


def test_bombs(tmp_path: Path) -> None:
    """Small files of huge pictures are refused before a pixel is decoded; the memory stays that of the good picture."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, data in BOMBS.items():
        (folder / name).write_bytes(data)
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for name, data in BOMBS.items():
            archive.writestr(name, data)
    with gzip.open(folder / "zeros.tgz", "wb") as stream:
        for _ in range(64):
            stream.write(bytes(1 << 20))
    (folder / "good.png").write_bytes(WHOLE["png"])
    tracemalloc.start()
    records = list(IMAGE.read(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert {item.source for item in records if isinstance(item, Item)} <= {"good.png", "false.png", "many.zip/false.png"}
    reasons = {one.source: one.reason for one in records if isinstance(one, Rejection)}
    assert "more than 89,478,485 pixels" in reasons["wide.png"]
    assert "unpacked at once" in reasons["bomb.npy"]
    assert peak < 16 << 20


@pytest.mark.parametrize("content", ["empty", "odd"])
def test_the_command_line_says_it_once(tmp_path: Path, content: str) -> None:
    """Nothing readable: exit 2, one message, no traceback, no run."""
    folder = tmp_path / "in"
    folder.mkdir()
    if content == "odd":
        (folder / "\x1b[31mred\n.png").write_bytes(b"x")
        (folder / "b.zip").write_bytes(WHOLE["zip"][:50])
    with pytest.raises(DataError, match="holds no picture that can be read"):
        list(IMAGE.read(folder))
    code = "from pellucid.cli import main; main()"
    words = ["train", str(folder), "--out", str(tmp_path / "run"), "--samples", "64"]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    assert not (tmp_path / "run" / "config.toml").exists()
