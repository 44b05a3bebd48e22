"""Films: windows of frames, read from containers and animated pictures, written as films and contact sheets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Record, Rejection
from pellucid.modalities.animation import save_journey
from pellucid.modalities.canvas import Canvas, Size, as_picture, on_white
from pellucid.modalities.eight_bits import from_bytes, to_bytes
from pellucid.modalities.file_picture import SUFFIXES as FILES
from pellucid.modalities.film import ANIMATED, CONTAINERS, KINDS, SLOWEST, open_film, why
from pellucid.modalities.films import frames, read_films
from pellucid.modalities.metadata import write_metadata
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.sheet import sheet
from pellucid.modalities.write_film import MOVING, write_film
from pellucid.sources.entry import Entry
from pellucid.sources.file import File
from pellucid.sources.find import find, is_remote
from pellucid.sources.refused import RefusedError
from pellucid.sources.source import Source

GLANCE = 1000  # files that are looked at before a folder is given up
TRIED = 8  # pictures of which those that may move are opened to see whether they do
LARGEST = 50_000_000  # values of a film that is gone on with
PICTURES = frozenset({*FILES, ".npy"})
STRIP = 8  # frames of a film in a still picture of it


@dataclass(frozen=True, kw_only=True)
class Video(Modality):
    """Windows of films (C, T, H, W): bytes when packed, [-1, 1] for the model, black at -1.

    Read from mp4, webm and other containers, and from gif, webp and png that move, in a folder with sub-folders as labels,
    in archives or tables; captions as of pictures. `films.Plan` has the rules for size and rate.

    Arguments:
        frames: T, of a window.
        stride: frames between the beginnings of windows; 0: as many as a window has.
        rate: frames per second; 0: the usual one, or a whole part of it, up to 15. Learned from the data.
    """

    sampler: ClassVar[str] = "dpmpp"
    steps: ClassVar[int] = 30
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "uint8"
    axes: ClassVar[str] = "channels x frames x height x width"
    suffixes: ClassVar[tuple[str, ...]] = (*MOVING, ".png", ".jpg", ".npy")
    played: ClassVar[str] = ".webp"
    recipe: ClassVar[str] = "video"
    forcing: ClassVar[float] = 0.6

    frames: int = 16
    stride: int = 0
    rate: float = 0.0

    def __post_init__(self) -> None:
        if not 2 <= self.frames <= 4096:
            raise ConfigError(f"modality.frames = {self.frames}: expected 2 to 4,096 frames of a window")
        if self.stride < 0 or not (self.rate == 0 or SLOWEST <= self.rate <= 1000):
            raise ConfigError(f"modality.stride = {self.stride}, modality.rate = {self.rate:g}: expected frames from 0, and "
                              f"{SLOWEST} to 1,000 frames per second; 0 of both: as suits the data")  # fmt: skip

    @classmethod
    def example(cls) -> Self:
        return cls(frames=3, rate=8.0)

    def recognises(self, path: Path) -> bool:
        """By names, in archives too: as many films as pictures; of pictures that may move by looking at the first few."""
        if is_remote(path) or not path.exists():
            return False
        containers = pictures = tried = moving = 0
        for entry in islice(_entries(path), GLANCE):
            containers += entry.suffix in CONTAINERS
            pictures += entry.suffix in PICTURES
            if entry.suffix in PICTURES and tried < TRIED:
                tried, moving = tried + 1, moving + (entry.suffix in ANIMATED and _moves(entry))
        return containers >= pictures > 0 or containers > 0 == pictures or moving > tried / 2

    def read(
        self,
        path: Path,
        *,
        size: Size = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """Windows one after the other, of pictures of this `size`, or of (T, H, W); see `films.read_films`."""
        if not is_remote(path) and not path.exists():
            raise DataError(f"There is no '{path}': expected a film ({KINDS}), or a folder of them")
        whole = isinstance(size, tuple) and len(size) == 3
        length, size = (size[0], size[1:]) if whole and isinstance(size, tuple) else (self.frames, size)
        yield from read_films(
            path, rate=self.rate, length=length, stride=self.stride, size=size, channels=channels, labels=labels,
            column=column,
        )  # fmt: skip

    def open(self, path: Path, shape: tuple[int, ...]) -> tuple[NDArray[np.uint8], list[str]]:
        """The whole film in a file, as the model that makes (C, T, H, W) sees it: (C, length, H, W); and how.

        Raises:
            DataError: there is none, or it cannot be read, or it is too long to be held in memory.
        """
        if not path.is_file():
            raise DataError(f"There is no file '{path}': expected a film ({KINDS})")
        (entry,) = File(path=path, name=path.name).entries()
        canvas = Canvas(height=shape[2], width=shape[3], channels=shape[0])
        notes, most = dict[str, None](), LARGEST // (shape[0] * shape[2] * shape[3])
        try:
            assert not isinstance(entry, Rejection)
            with open_film(entry) as film:
                size, rate = film.size, film.rate
            found = list(islice(frames(entry, canvas, self.rate, notes), most + 1))
            if len(found) > most:
                raise RefusedError(f"more than {most:,} frames: cut it")
            came = f"{size[0]} x {size[1]} at {rate:g} a second"
            seen = f"{len(found):,} frames of {shape[3]} x {shape[2]} at {self.rate:g}"
            return np.stack(found, axis=1), [f"{came} is seen as {seen}", *notes]
        except Exception as error:  # decoders of damaged files raise whatever they come upon
            raise DataError(f"Cannot read '{path}' as a film: {why(error)}") from None

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"rate": float(details.get("rate", self.rate or 8.0))}

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        return from_bytes(stored)

    def encode(self, x: Tensor) -> NDArray[np.uint8]:
        return to_bytes(x)

    def view(self, x: Tensor) -> Tensor:
        """All frames of a film as channels of one picture."""
        return x.flatten(1, 2)

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        """Frames side by side."""
        chosen = np.linspace(0, stored.shape[2] - 1, min(STRIP, stored.shape[2])).round().astype(int)
        return [np.concatenate(list(film[:, chosen].transpose(1, 0, 2, 3)), axis=2) for film in stored]

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[Path]:
        """A .mp4, .webm, .gif or .webp in which all films play side by side, a .png or .jpg of their frames, a row for each,
        `.npy` with the bytes (B, C, T, H, W); any other name is a folder for 000000.webp, 000001.webp, ..., which keep every
        value, and, with labels or captions, metadata.jsonl.
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        stored, suffix = self.encode(samples), path.suffix.lower()
        told = captions if captions and len(set(captions)) > 1 else labels or captions
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, stored)
        elif suffix in MOVING:
            write_film(self._together(stored, told), path, self.rate)
        elif is_picture(path):
            with atomic_write(path) as temporary:
                columns = 1 if len(stored) <= 2 * STRIP else None
                sheet(self.pictures(stored), columns=columns, labels=told).save(temporary)
        elif suffix:
            raise UserError(f"Cannot write films as '{path.name}': {nearest(suffix, self.suffixes)}")
        else:
            files = [path / f"{index:06d}.webp" for index in range(len(stored))]
            for file, film in zip(files, stored, strict=True):
                write_film([as_picture(frame) for frame in film.transpose(1, 0, 2, 3)], file, self.rate)
            return [*files, *write_metadata(path, files, labels, captions)]
        return [path]

    def _together(self, stored: NDArray[np.uint8], labels: Sequence[str | None] | None) -> list[Pillow.Image]:
        """One film of all; a single one as it is."""
        moments = stored.transpose(2, 0, 1, 3, 4)
        if len(stored) == 1:
            return [on_white(as_picture(frame)) for (frame,) in moments]
        return [sheet(list(films), labels=labels) for films in moments]

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)


def _entries(path: Path) -> Iterator[Entry]:
    for source in find(path):
        if isinstance(source, Source):
            yield from (entry for entry in source.entries() if isinstance(entry, Entry))


def _moves(entry: Entry) -> bool:
    """Whether a picture has several frames."""
    try:
        with open_film(entry):
            return True
    except Exception:  # decoders of damaged files raise whatever they come upon
        return False
