"""Samples as bytes of the formats that other programs open."""

from base64 import b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from pellucid.core.errors import ConfigError, nearest
from pellucid.modalities.canvas import as_picture, on_white
from pellucid.modalities.image import Image
from pellucid.modalities.modality import Modality
from pellucid.modalities.series import Series
from pellucid.model.samples import Samples

MEDIA = {
    ".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".gif": "image/gif", ".mp4": "video/mp4",
    ".webm": "video/webm", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg", ".txt": "text/plain",
    ".jsonl": "application/jsonl", ".csv": "text/csv", ".tsv": "text/tab-separated-values",
    ".parquet": "application/vnd.apache.parquet", ".npy": "application/octet-stream", ".nii": "application/octet-stream",
}  # fmt: skip
"""Types of media by the ends of names."""
PictureFormat = Literal["png", "jpeg", "webp"]


@dataclass(frozen=True)
class File:
    """One file that was never on a disk, or is no longer."""

    name: str
    content: bytes

    @property
    def media_type(self) -> str:
        return MEDIA.get(Path(self.name).suffix, "application/octet-stream")

    def as_json(self) -> dict[str, str]:
        return {"name": self.name, "media_type": self.media_type, "base64": b64encode(self.content).decode()}


def as_files(samples: Samples, suffix: str = "") -> list[File]:
    """A file for each sample, or one with all in the format of `suffix`.

    Raises:
        ConfigError: no such format for samples of this kind.
    """
    suffixes = samples.modality.suffixes
    if suffix and suffix not in suffixes:
        raise ConfigError(f"format = '{suffix.removeprefix('.')}': {nearest(suffix, suffixes)}")
    if isinstance(samples.modality, Image) and not suffix:
        pictures = (as_picture(one) for one in samples.modality.encode(samples.data))
        return [File(f"{place:06d}.png", encoded(picture)) for place, picture in enumerate(pictures)]
    with TemporaryDirectory() as folder:
        written = samples.save(Path(folder) / f"samples{suffix}")
        return [File(path.name, path.read_bytes()) for path in written]


def encoded(picture: Pillow.Image, kind: PictureFormat = "png", quality: int = 95) -> bytes:
    """A picture in a file format."""
    held = BytesIO()
    whole = on_white(picture) if kind == "jpeg" else picture
    whole.save(held, format=kind.upper(), quality=quality, lossless=quality == 100)
    return held.getvalue()


def shown(modality: Modality, x: Tensor) -> list[bytes]:
    """A picture in PNG of each sample (B, C, *space)."""
    return [encoded(_picture(one)) for one in modality.pictures(modality.encode(x))]


def frames(modality: Modality, journey: Iterable[Tensor]) -> list[list[str]]:
    """Of each step the pictures of all samples, in base64."""
    return [[b64encode(one).decode() for one in shown(modality, x)] for x in journey]


def tables(series: Series, journey: Iterable[Tensor]) -> list[list[list[list[float | None]]]]:
    """Of each step the values (C, L) of all series, to five digits; None where there is none."""
    return [[[_rounded(row) for row in one] for one in series.encode(x).tolist()] for x in journey]


def _rounded(row: Iterable[float]) -> list[float | None]:
    return [float(f"{value:.5g}") if isfinite(value) else None for value in row]


def _picture(data: NDArray[np.uint8]) -> Pillow.Image:
    return as_picture(data)
