"""Pictures: read from arrays and folders, shown as files, contact sheets and moving pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from pellucid.core.errors import DataError, UserError
from pellucid.core.files import atomic_write
from pellucid.core.items import Record
from pellucid.modalities.animation import save_journey
from pellucid.modalities.array_pictures import read_array
from pellucid.modalities.beside import IDX_NAME, ArrayPair, is_array
from pellucid.modalities.canvas import Size, as_picture, on_white
from pellucid.modalities.eight_bits import from_bytes, to_bytes
from pellucid.modalities.metadata import write_metadata
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.pictures import read_pictures
from pellucid.modalities.sheet import sheet
from pellucid.sources import sources
from pellucid.sources.find import is_remote, kind_of
from pellucid.sources.walk import walk

GLANCE = 1000  # files that are looked at before a folder is given up
COLOURS = (1, 3, 4)  # channels that a picture can show
TRANSPARENT = (".png", ".webp", ".tif", ".tiff", ".gif")  # formats that hold four channels


@dataclass(frozen=True, kw_only=True)
class Image(Modality):
    """Pictures (C, H, W): bytes when packed, [-1, 1] for the model, black at -1.

    Read from IDX files, .npy and .npz arrays, each with labels beside it, or from any source of pictures: a folder with
    sub-folders as labels, zip and tar archives, WebDataset shards, Parquet files, data sets on the hub. `Canvas.choose`
    has the rule for their size. Four channels are colours and transparency, which is laid on white where it is not kept.
    """

    sampler: ClassVar[str] = "dpmpp"
    steps: ClassVar[int] = 20
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "uint8"
    axes: ClassVar[str] = "channels x height x width"
    suffixes: ClassVar[tuple[str, ...]] = (
        ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".npy",
    )  # fmt: skip

    def recognises(self, path: Path) -> bool:
        if not path.is_dir():
            return is_remote(path) or (path.is_file() and (is_array(path) or _holds_pictures(path)))
        found = islice(walk(path), GLANCE)
        return any(isinstance(file, Path) and (is_array(file) or _holds_pictures(file)) for file in found)

    def files(self, path: Path) -> Iterator[Path]:
        pair = _array_of(path)
        if pair:
            yield from pair.files()
        else:
            yield from super().files(path)

    def read(
        self,
        path: Path,
        *,
        size: Size = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        pair = _array_of(path)
        if pair:
            yield from read_array(pair, size=size, channels=channels, labels=labels)
        else:
            yield from read_pictures(path, size=size, channels=channels, labels=labels, column=column)

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        return from_bytes(stored)

    def encode(self, x: Tensor) -> NDArray[np.uint8]:
        return to_bytes(x)

    def shows(self, shape: tuple[int, ...]) -> bool:
        return shape[0] in COLOURS

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        return list(stored)

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[Path]:
        """A name with a picture's suffix gets a contact sheet, or the picture itself if there is only one; `.npy` gets
        the bytes (B, C, H, W); any other name is a folder for 000000.png, 000001.png, ... and, with labels or captions,
        metadata.jsonl, from which they can be read again. A sheet shows captions where they differ, else labels.
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        if path.suffix.lower() == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, self.encode(samples))
            return [path]
        if is_picture(path):
            pictures = self.encode(samples)
            told = captions if captions and len(set(captions)) > 1 else labels or captions
            _save(as_picture(pictures[0]) if len(pictures) == 1 else sheet(list(pictures), labels=told), path)
            return [path]
        written = [path / f"{index:06d}.png" for index in range(len(samples))]
        for sample, file in zip(samples, written, strict=True):
            _save(as_picture(self.encode(sample)), file)
        return [*written, *write_metadata(path, written, labels, captions)]

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([list(self.encode(frame)) for frame in frames], path)


def _save(picture: Pillow.Image, path: Path) -> None:
    if path.suffix.lower() not in TRANSPARENT:
        picture = on_white(picture)
    with atomic_write(path) as temporary:  # `lossless` is WebP's, `quality` JPEG's; each format ignores the other's
        picture.save(temporary, quality=95, lossless=True)


def _holds_pictures(path: Path) -> bool:
    """Whether a file is a picture or holds many, by its name."""
    return is_picture(path) or kind_of(path) is not sources["file"]


def _array_of(path: Path) -> ArrayPair | None:
    """The array that `path` stands for; None when it is pictures, which a folder's .npy files then only accompany."""
    if is_remote(path):
        return None
    if not path.exists():
        close = get_close_matches(path.name, [entry.name for entry in path.parent.glob("*")], n=1)
        raise DataError(f"There is no '{path}'." + (f" Did you mean '{path.with_name(close[0])}'?" if close else ""))
    if path.is_dir() and not any(IDX_NAME.search(entry.name) for entry in path.iterdir()):
        found = islice(walk(path), GLANCE)
        if any(isinstance(file, Path) and _holds_pictures(file) for file in found):
            return None
    return ArrayPair.find(path)
