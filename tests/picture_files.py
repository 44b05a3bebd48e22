"""Files of pictures for tests: made, and read back by the image modality."""

import gzip
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.modalities.image import Image

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist"
IMAGE = Image()
Bytes = NDArray[np.uint8]


def read(path: Path, **options: Any) -> tuple[list[Item], list[Rejection], str]:
    """Items, rejections and all notes in one string."""
    records: list[Record] = list(IMAGE.read(path, **options))
    notes = [note for record in records if isinstance(record, Origin) for note in record.notes]
    items = [record for record in records if isinstance(record, Item)]
    return items, [record for record in records if isinstance(record, Rejection)], "; ".join(notes)


def pixels(path: Path, **options: Any) -> Bytes:
    return np.stack([item.data for item in read(path, **options)[0]])


def idx(path: Path, array: NDArray[Any], code: int = 8) -> Path:
    data = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def random_bytes(*shape: int) -> Bytes:
    return np.random.default_rng(len(shape)).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, array: NDArray[Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(array).save(path, **options)
    return path


def read_items(path: Path, **options: Any) -> Any:
    return (record for record in IMAGE.read(path, **options) if isinstance(record, Item))


def encoded(array: Bytes, kind: str = "png") -> bytes:
    """The bytes of a file."""
    stream = io.BytesIO()
    Pillow.fromarray(array).save(stream, kind)
    return stream.getvalue()


def picture(index: int) -> bytes:
    """A PNG of one grey, the lighter the higher the index."""
    return encoded(np.full((8, 8, 3), 9 * index, np.uint8))


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
