"""Samples that are several things at once: a picture, a sound and a word that belong together."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from io import BytesIO
from itertools import islice
from math import ceil
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor

from pellucid.core.errors import ConfigError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.items import Record, Rejection
from pellucid.modalities.aligned import Bounds, picture_of, read_aligned, sound_of, survey
from pellucid.modalities.animation import save_journey
from pellucid.modalities.documents import decoded
from pellucid.modalities.file_picture import SUFFIXES as PICTURES
from pellucid.modalities.modality import Modality
from pellucid.modalities.open_picture import is_picture
from pellucid.modalities.open_picture import why as why_no_picture
from pellucid.modalities.parts import PARTS, Part, Sound, Words
from pellucid.modalities.sheet import sheet
from pellucid.modalities.sounds import SUFFIXES as SOUNDS
from pellucid.modalities.sounds import why as why_no_sound
from pellucid.modalities.write_sound import FORMATS, PAUSE, write_sound
from pellucid.sources.entry import Entry
from pellucid.sources.file import File
from pellucid.sources.walk import walk

GLANCE = 1000  # files that are looked at before a folder is given up
ALIGNED = 0.8
"""Share of the pictures of a folder that have a sound of their name, from which on the folder is taken for one of such."""
GAP = 6
"""Pixels between the parts that are shown of a sample."""

Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Joint(Modality):
    """Samples (V, L) of L tokens of up to V values: those of a picture first, then of a sound, then of a text.

    Read from files of the same name but for its end, such as 17.png, 17.wav and 17.txt; of three parts two are enough. All
    parts are values: pictures in patches, sounds as sizes of frequencies in frames, texts in bits. A part has a time of its
    own, so that any of them may be given and the others drawn; see `known`. Values that a part's tokens do not have are 0.

    Arguments:
        rate: of sounds, in Hz; 0: the one that most have, at most 16,000.
        window, hop: of their frames.
        patch: edge of the patches of pictures, at most.
        letters: of texts, at most.
        parts: learned from the data: the settings of each part.
    """

    sampler: ClassVar[str] = "ancestral"  # noise that is added anew mends what parts settled apart from each other
    steps: ClassVar[int] = 50
    metrics: ClassVar[tuple[str, ...]] = ("frechet", "kernel")
    storage: ClassVar[str] = "float32"
    axes: ClassVar[str] = "values x tokens"
    suffixes: ClassVar[tuple[str, ...]] = (".png", ".webp", ".jpg", ".wav", ".flac", ".ogg", ".txt", ".npy")
    played: ClassVar[str] = ".wav"
    recipe: ClassVar[str] = "joint"
    lasting: ClassVar[bool] = True
    forcing: ClassVar[float] = 0.6

    rate: int = 0
    window: int = 512
    hop: int = 128
    patch: int = 4
    letters: int = 16
    parts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("window", "hop", "patch", "letters"):
            if getattr(self, name) < 1:
                raise ConfigError(f"modality.{name} = {getattr(self, name)}: expected 1 or more")

    @classmethod
    def example(cls) -> Self:
        word = Words(characters="abc", letters=3)
        sound = Sound(rate=8000, length=64, window=16, hop=4)
        return cls(window=16, hop=4, parts={"sound": asdict(sound), "text": asdict(word)})

    @cached_property
    def made_of(self) -> dict[str, Part]:
        """The parts, in their order."""
        return {name: PARTS[name](**self.parts[name]) for name in PARTS if name in self.parts}

    @cached_property
    def places(self) -> dict[str, slice]:
        """The tokens of each part."""
        found, first = {}, 0
        for name, part in self.made_of.items():
            found[name] = slice(first, first + part.size[1])
            first += part.size[1]
        return found

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        return tuple(part.size for part in self.made_of.values())

    @cached_property
    def scales(self) -> Tensor:
        """1 / sqrt(n) at the n tokens of a part, (L,): n tokens in the same noise tell n times as much of what they have in
        common, so that a sound would settle it before a word can have a say. By Hoogeboom et al. 2023 (simple diffusion),
        eq. 3, a ratio of noise to signal that is sqrt(n) times as large makes up for that.
        """
        return torch.cat([torch.full((part.size[1],), part.size[1] ** -0.5) for part in self.made_of.values()])

    @cached_property
    def importance(self) -> Tensor:
        """Weights (V, L): 0 of values that no part has; parts count alike, whatever their size."""
        shape = self._shape()
        weights = torch.zeros(shape)
        for name, part in self.made_of.items():
            values, tokens = part.size
            weights[:values, self.places[name]] = shape[0] * shape[1] / (len(self.made_of) * values * tokens)
        return weights

    def recognises(self, path: Path) -> bool:
        """A folder with pictures that have sounds of the same name. Sound and text alone are sounds with captions, unless
        modality.name=joint says otherwise.
        """
        if not path.is_dir():
            return False
        found = [file for file in islice(walk(path), GLANCE) if isinstance(file, Path)]
        pictures = {file.with_suffix("") for file in found if file.suffix.lower() in PICTURES}
        sounds = {file.with_suffix("") for file in found if file.suffix.lower() in SOUNDS}
        return bool(pictures) and len(pictures & sounds) >= ALIGNED * len(pictures)

    def read(
        self,
        path: Path,
        *,
        size: int | tuple[int, ...] | None = None,
        channels: int | None = None,
        labels: bool = True,  # noqa: ARG002
        column: str | None = None,  # noqa: ARG002
    ) -> Iterator[Record]:
        """`size` and `channels` are those of pictures; a model's own parts, once they are learned, are what is read."""
        if self.parts:
            yield from read_aligned(path, self.made_of, (), self.joined, {"parts": self.parts})
            return
        bounds = Bounds(rate=self.rate, window=self.window, hop=self.hop, patch=self.patch, letters=self.letters)
        parts, notes = survey(path, size, channels, bounds)
        told = {name: asdict(part) for name, part in parts.items()}
        whole = Joint(parts=told)
        yield from read_aligned(path, parts, notes, whole.joined, {"parts": told})

    def learn(self, stored: Values, details: Mapping[str, Any]) -> dict[str, Any]:
        if self.parts:
            return {"parts": dict(self.parts)}
        whole = Joint(parts=details["parts"])
        settled = dict(details["parts"])
        if isinstance(sound := whole.made_of.get("sound"), Sound):
            settled["sound"] = asdict(sound.settled(whole.part(stored, "sound")))
        return {"parts": settled}

    def joined(self, found: Mapping[str, Values]) -> Values:
        """Stored parts as one sample (V, L), 0 where there is nothing."""
        sample = np.zeros(self._shape(), np.float32)
        for name, stored in found.items():
            sample[: len(stored), self.places[name]] = stored
        return sample

    def part(self, stored: Values, name: str) -> Values:
        """What is stored of one part, (..., values, tokens)."""
        return stored[..., : self.made_of[name].size[0], self.places[name]]

    def known(self, given: Mapping[str, str | bytes]) -> Tensor:
        """What is given of a sample (V, L) in the model's range, NaN where it is not: of each part a file or its content, or
        a text.

        Raises:
            UserError: a part that the model does not have, or what cannot be read.
        """
        known = torch.full(self._shape(), torch.nan)
        for name, value in given.items():
            if name not in self.made_of:
                raise ConfigError(f"The model has no part '{name}': {nearest(name, self.made_of)}")
            stored = self._read(name, value)
            x = self.made_of[name].decode(torch.from_numpy(stored))
            known[:, self.places[name]] = 0.0
            known[: len(x), self.places[name]] = x
        return known * self.scales

    def _read(self, name: str, value: str | bytes) -> Values:
        part = self.made_of[name]
        if isinstance(part, Words):
            return part.cut(_words(value))
        entry, what = _entry(name, value), f"'{value}'" if isinstance(value, str) else "What was given"
        try:
            return part.cut(sound_of(entry, part) if isinstance(part, Sound) else picture_of(entry, part))
        except Exception as error:  # decoders of damaged files raise whatever they come upon
            why = why_no_sound(error) if isinstance(part, Sound) else why_no_picture(error)
            raise UserError(f"{what} cannot be read as a {name}: {why}") from None

    def decode(self, stored: Tensor | NDArray[Any]) -> Tensor:
        x = stored.float() if isinstance(stored, Tensor) else torch.from_numpy(stored.astype(np.float32))
        return self._each(x, lambda part, own: part.decode(own)) * self.scales

    def encode(self, x: Tensor) -> NDArray[np.float32]:
        return self._each(x.detach().cpu().float() / self.scales, lambda part, own: part.encode(own)).numpy()

    def _each(self, x: Tensor, change: Callable[[Part, Tensor], Tensor]) -> Tensor:
        """Each part changed in its place."""
        changed = torch.zeros_like(x)
        for name, part in self.made_of.items():
            place = (..., slice(part.size[0]), self.places[name])
            changed[place] = change(part, x[place])
        return changed

    def _shape(self) -> tuple[int, int]:
        sizes = [part.size for part in self.made_of.values()]
        return max(values for values, _ in sizes), sum(tokens for _, tokens in sizes)

    def view(self, x: Tensor) -> Tensor:
        """As pictures of one channel, a token a column, three standard deviations of sound being white."""
        return (x / self.scales.to(x) / 3).clamp(-1, 1).unsqueeze(1)

    def pictures(self, stored: NDArray[Any]) -> list[NDArray[np.uint8]]:
        return [self._picture(one) for one in stored]

    def _picture(self, stored: Values) -> NDArray[np.uint8]:
        """Parts side by side, a text below."""
        shown = {name: part.picture(np.ascontiguousarray(self.part(stored, name))) for name, part in self.made_of.items()}
        text = shown.pop("text", None)
        width = sum(one.width for one in shown.values()) + GAP * (len(shown) - 1)
        height = max(one.height for one in shown.values())
        size = (max(width, text.width if text else 0), height + (text.height if text else 0))
        page, left = Pillow.new("RGB", size, "white"), 0
        for one in shown.values():
            page.paste(one, (left, 0))
            left += one.width + GAP
        if text:
            page.paste(text, (0, height))
        return np.ascontiguousarray(np.asarray(page, dtype=np.uint8).transpose(2, 0, 1))

    def texts(self, stored: Values) -> list[str]:
        """Of samples (B, V, L)."""
        words = self.made_of["text"]
        assert isinstance(words, Words)
        return [words.text(self.part(one, "text")) for one in stored]

    def write(
        self,
        samples: Tensor,
        path: Path,
        *,
        labels: Sequence[str | None] | None = None,  # noqa: ARG002
        captions: Sequence[str] | None = None,  # noqa: ARG002
    ) -> list[Path]:
        """A folder for 000000.png, 000000.wav, 000000.txt, ..., from which they can be read again; a picture of all samples,
        a .wav, .flac or .ogg of all sounds, a .txt of all texts, a line each, or `.npy` (B, V, L) as stored.
        """
        if not len(samples):
            raise UserError("There are no samples to write.")
        stored, suffix = self.encode(samples), path.suffix.lower()
        if suffix == ".npy":
            with atomic_write(path) as temporary:
                np.save(temporary, stored)
        elif is_picture(path):
            with atomic_write(path) as temporary:
                sheet(self.pictures(stored), columns=max(1, round(len(stored) ** 0.5))).save(temporary)
        elif suffix in FORMATS and isinstance(sound := self.made_of.get("sound"), Sound):
            pause = np.zeros((1, ceil(PAUSE * sound.rate)), np.int16)
            parts = [part for one in stored for part in (sound.wave(self.part(one, "sound")), pause)][:-1]
            write_sound(path, np.concatenate(parts, 1), sound.rate)
        elif suffix == ".txt" and "text" in self.made_of:
            with atomic_write(path) as temporary:
                temporary.write_text("".join(text + "\n" for text in self.texts(stored)), encoding="utf-8")
        elif suffix:
            raise UserError(f"Cannot write samples of {', '.join(self.made_of)} as '{path.name}': expected a folder, or "
                            f"{nearest(suffix, self.suffixes)}")  # fmt: skip
        else:
            return list(self._files(stored, path))
        return [path]

    def _files(self, stored: Values, folder: Path) -> Iterator[Path]:
        for index, one in enumerate(stored):
            for name, part in self.made_of.items():
                file = folder / f"{index:06d}{part.suffix}"
                part.write(np.ascontiguousarray(self.part(one, name)), file)
                yield file

    def journey(self, frames: Sequence[Tensor], path: Path) -> None:
        save_journey([self.pictures(self.encode(frame)) for frame in frames], path)


def _words(value: str | bytes) -> str:
    """A text, or that of a file."""
    if isinstance(value, str) and not Path(value).is_file():
        return value
    return decoded(value if isinstance(value, bytes) else Path(value).read_bytes()).strip()


def _entry(name: str, value: str | bytes) -> Entry:
    """A file, or the content of one."""
    if isinstance(value, bytes):
        return Entry(name=name, open=lambda: BytesIO(value), suffix=None)
    if not (path := Path(value)).is_file():
        raise UserError(f"There is no '{value}': expected a {name}'s file")
    (entry,) = File(path=path, name=path.name).entries()
    if isinstance(entry, Rejection):
        raise UserError(f"'{value}' cannot be read as a {name}: {entry.reason}")
    return entry
