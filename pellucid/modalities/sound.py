"""Sound: windows of recordings, read from any usual file, shown as spectrograms, written as sound."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Record
from pellucid.modalities.animation import save_journey
from pellucid.modalities.metadata import write_metadata
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.sheet import sheet
from pellucid.modalities.sonogram import loudness, sonograms
from pellucid.modalities.sounds import FULL, SUFFIXES, as_stored, read_sounds
from pellucid.modalities.write_sound import FORMATS, PAUSE, write_sound
from pellucid.sources.find import is_remote
from pellucid.sources.walk import walk

GLANCE = 1000  # files that are looked at before a folder is given up
SLOWEST, FASTEST = 1_000, 192_000


@dataclass(frozen=True, kw_only=True)
class Sound(Modality):
    """Windows of sound (C, L), one or two channels: 16 bits when packed, [-1, 1] for the model.

    Read from wav, flac, ogg and others, in a folder with sub-folders as labels, in archives or tables; captions as of
    pictures. `sounds.Plan` has the rules for rate and length. What a model makes louder than full scale is made quieter as a
    whole, never clipped.

    Arguments:
        rate: in Hz; 0: the one that most sounds have, at most 16,000. Learned from the data.
    """

    sampler: ClassVar[str] = "dpmpp"
    steps: ClassVar[int] = 30
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "int16"
    axes: ClassVar[str] = "channels x values"
    suffixes: ClassVar[tuple[str, ...]] = (*FORMATS, ".png", ".webp", ".jpg", ".npy")
    played: ClassVar[str] = ".wav"
    recipe: ClassVar[str] = "sound"

    rate: int = 0

    def __post_init__(self) -> None:
        if self.rate and not SLOWEST <= self.rate <= FASTEST:
            raise ConfigError(f"modality.rate = {self.rate}: expected {SLOWEST:,} to {FASTEST:,} Hz; 0: the data's own")

    @classmethod
    def example(cls) -> Self:
        return cls(rate=8000)

    def recognises(self, path: Path) -> bool:
        if not path.is_dir():
            return path.is_file() and path.name.lower().endswith(SUFFIXES)
        found = [file for file in islice(walk(path), GLANCE) if isinstance(file, Path)]
        return any(file.name.lower().endswith(SUFFIXES) for file in found) and not any(map(is_picture, found))

    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,
        column: str | None = None,
    ) -> Iterator[Record]:
        """Windows of `size` samples one after the other; the last one of a longer sound if it fills half of one."""
        if not is_remote(path) and not path.exists():
            raise DataError(f"There is no '{path}': expected a sound, or a folder of them")
        length = size[0] if isinstance(size, tuple) else size
        yield from read_sounds(path, rate=self.rate, size=length, channels=channels, labels=labels, column=column)

    def learn(self, stored: NDArray[Any], details: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        return {"rate": int(details.get("rate", self.rate or SLOWEST))}

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        x = stored.float() if isinstance(stored, Tensor) else torch.from_numpy(stored.astype(np.float32))
        return x / FULL

    def encode(self, x: Tensor) -> NDArray[np.int16]:
        return as_stored(x.detach().cpu().float().numpy())

    def view(self, x: Tensor) -> Tensor:
        return loudness(x, self.rate)

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        return sonograms(self.decode(stored), self.rate)

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,
        captions: Sequence[str] | None = None,
    ) -> list[Path]:
        """A .wav, .flac or .ogg with all sounds one after the other, a picture of their spectrograms, `.npy` 16 bits
        (B, C, L); any other name is a folder for 000000.wav, 000001.wav, ... and, with labels or captions, metadata.jsonl.
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        stored, suffix = self.encode(samples), path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, stored)
        elif is_picture(path):
            told = captions if captions and len(set(captions)) > 1 else labels or captions
            with atomic_write(path) as temporary:
                sheet(self.pictures(stored), labels=told).save(temporary)
        elif suffix in FORMATS:
            pause = np.zeros((stored.shape[1], round(PAUSE * self.rate)), np.int16)
            parts = [part for one in stored for part in (one, pause)][:-1]
            write_sound(path, np.concatenate(parts, 1), self.rate)
        elif suffix:
            raise UserError(f"Cannot write sound as '{path.name}': {nearest(suffix, self.suffixes)}")
        else:
            files = [path / f"{index:06d}.wav" for index in range(len(stored))]
            for file, one in zip(files, stored, strict=True):
                write_sound(file, one, self.rate)
            return [*files, *write_metadata(path, files, labels, captions)]
        return [path]

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)
