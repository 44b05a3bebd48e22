"""What a sample that is several things at once is made of: a picture, a sound, a word, each a run of tokens."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from math import gcd, pi, sqrt
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from pellucid.codecs.loudness import QUIET, Loudness
from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.modalities.canvas import as_picture, on_white
from pellucid.modalities.font import drawable, font_for
from pellucid.modalities.sonogram import RANGE, in_colours
from pellucid.modalities.sounds import as_stored
from pellucid.modalities.write_sound import write_sound
from pellucid.networks.grid import depth_to_space, space_to_depth

HEIGHT, LINE = 96, 24
"""Pixels of what is shown of a part; of one that is a word."""
Values = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Part(ABC):
    """Tokens of `values` numbers each, `tokens` of them: (values, tokens) as stored, of about unit size for the model."""

    suffix: ClassVar[str]

    @property
    @abstractmethod
    def size(self) -> tuple[int, int]:
        """(values, tokens)."""

    @abstractmethod
    def cut(self, raw: Any) -> Values:
        """What was read, as it is stored."""

    @abstractmethod
    def decode(self, stored: Tensor) -> Tensor:
        """(..., values, tokens) from storage to the model."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """And back; undoes `decode`."""

    @abstractmethod
    def write(self, stored: Values, path: Path) -> None:
        """As a file that other programs open."""

    @abstractmethod
    def picture(self, stored: Values) -> Image.Image:
        """What is shown of it."""


@dataclass(frozen=True, kw_only=True)
class Picture(Part):
    """Bytes (channels, height, width), a patch a token: 0 to 255 when stored, [-1, 1] for the model."""

    suffix: ClassVar[str] = ".png"

    height: int
    width: int
    channels: int
    patch: int

    @cached_property
    def _edge(self) -> int:
        """The largest up to `patch` that divides both sides."""
        common = gcd(self.height, self.width)
        return next(edge for edge in range(min(self.patch, common), 0, -1) if common % edge == 0)

    @property
    def size(self) -> tuple[int, int]:
        return self.channels * self._edge**2, self.height * self.width // self._edge**2

    def cut(self, raw: NDArray[np.uint8]) -> Values:
        grid = space_to_depth(torch.tensor(raw).movedim(0, -1)[None], (self._edge, self._edge))
        return np.ascontiguousarray(grid[0].flatten(0, 1).T.numpy().astype(np.float32))

    def decode(self, stored: Tensor) -> Tensor:
        return stored / 127.5 - 1

    def encode(self, x: Tensor) -> Tensor:
        return ((x.clamp(-1, 1) + 1) * 127.5).round()

    def pixels(self, stored: Values) -> NDArray[np.uint8]:
        """(channels, height, width)."""
        rows, columns = self.height // self._edge, self.width // self._edge
        grid = torch.from_numpy(stored.astype(np.uint8)).T.reshape(1, rows, columns, -1)
        return np.ascontiguousarray(depth_to_space(grid, (self._edge, self._edge))[0].movedim(-1, 0).numpy())

    def write(self, stored: Values, path: Path) -> None:
        with atomic_write(path) as temporary:
            as_picture(self.pixels(stored)).save(temporary)

    def picture(self, stored: Values) -> Image.Image:
        scale = max(1, round(HEIGHT / self.height))
        shown = on_white(as_picture(self.pixels(stored))).convert("RGB")
        return shown.resize((scale * self.width, scale * self.height), Image.Resampling.NEAREST)


@dataclass(frozen=True, kw_only=True)
class Sound(Part):
    """`length` values at `rate` Hz, a frame a token: sizes of frequencies when stored, (log(1 + size / quiet) - centre) /
    spread for the model. Phases are found again by iteration; see `codecs.Loudness`.
    """

    suffix: ClassVar[str] = ".wav"

    rate: int
    length: int
    window: int
    hop: int
    quiet: float = 1.0
    centre: float = 0.0
    spread: float = 1.0

    @cached_property
    def codec(self) -> Loudness:
        return Loudness(shape=(1, self.length), window=self.window, hop=self.hop)

    @property
    def size(self) -> tuple[int, int]:
        values, tokens = self.codec.latent_shape((1, self.length))
        return values, tokens

    def settled(self, stored: Values) -> "Sound":
        """Scaled by sounds (N, values, tokens): mean 0 and variance 1 for the model."""
        sizes = stored.astype(np.float64)
        quiet = max(QUIET * float(np.sqrt(np.square(sizes).mean((0, 2)).max())), 1e-12)
        logs = np.log1p(sizes / quiet)
        known = {"rate": self.rate, "length": self.length, "window": self.window, "hop": self.hop}
        return Sound(**known, quiet=quiet, centre=float(logs.mean()), spread=max(float(logs.std()), 1e-12))

    def cut(self, raw: Values) -> Values:
        held = np.zeros((1, 1, self.length), np.float32)
        held[..., : raw.shape[-1]] = raw[..., : self.length]
        return self.codec.sizes(torch.from_numpy(held))[0, 0].numpy()

    def decode(self, stored: Tensor) -> Tensor:
        return ((stored / self.quiet).log1p() - self.centre) / self.spread

    def encode(self, x: Tensor) -> Tensor:
        return (x * self.spread + self.centre).clamp_min(0).expm1() * self.quiet

    def wave(self, stored: Values) -> NDArray[np.int16]:
        """(1, length) in 16 bits."""
        return as_stored(self.codec.heard(torch.from_numpy(np.ascontiguousarray(stored))[None, None])[0].numpy())

    def write(self, stored: Values, path: Path) -> None:
        write_sound(path, self.wave(stored), self.rate)

    def picture(self, stored: Values) -> Image.Image:
        decibels = 20 * np.log10(np.maximum(stored * pi / sqrt(self.window), 1e-9))  # of a full-scale sine: 0
        shown = in_colours(np.clip(decibels / (RANGE / 2) + 1, -1, 1)[::-1])
        height, width = stored.shape
        return Image.fromarray(shown).resize((HEIGHT * width // height * 4, HEIGHT), Image.Resampling.BILINEAR)


@dataclass(frozen=True, kw_only=True)
class Words(Part):
    """A text of up to `letters` characters, each a token of bits: 0 and 1 when stored, -1 and 1 for the model (Chen, Zhang
    and Hinton 2023, Analog Bits). The number 0 is no letter: it fills what is left.
    """

    suffix: ClassVar[str] = ".txt"

    characters: str
    letters: int

    @property
    def size(self) -> tuple[int, int]:
        return len(self.characters).bit_length(), self.letters

    def cut(self, raw: str) -> Values:
        """Raises:
            UserError: longer, or with a character that is not known.
        """
        if len(raw) > self.letters or not set(raw) <= set(self.characters):
            strange = sorted(set(raw) - set(self.characters))
            why = f"it holds {strange[0]!r}, which no text trained on does" if strange else f"{len(raw)} letters"
            raise UserError(f"The text '{raw}' does not fit: {why}; expected up to {self.letters} of {self.characters!r}")
        numbers = np.zeros(self.letters, np.int64)
        numbers[: len(raw)] = [self.characters.index(letter) + 1 for letter in raw]
        bits: Values = (numbers >> np.arange(self.size[0])[:, None] & 1).astype(np.float32)
        return bits

    def decode(self, stored: Tensor) -> Tensor:
        return 2 * stored - 1

    def encode(self, x: Tensor) -> Tensor:
        return (x > 0).to(x)

    def text(self, stored: Values) -> str:
        """Up to the first that is no letter."""
        numbers = (stored.astype(np.int64) << np.arange(self.size[0])[:, None]).sum(0).tolist()
        ends = [place for place, number in enumerate(numbers) if not 0 < number <= len(self.characters)]
        return "".join(self.characters[number - 1] for number in numbers[: ends[0] if ends else None])

    def write(self, stored: Values, path: Path) -> None:
        with atomic_write(path) as temporary:
            temporary.write_text(self.text(stored) + "\n", encoding="utf-8")

    def picture(self, stored: Values) -> Image.Image:
        from PIL import ImageDraw

        text = drawable(self.text(stored))
        font = font_for(text, LINE - 8)
        page = Image.new("RGB", (max(HEIGHT, LINE // 2 * self.letters), LINE), "white")
        ImageDraw.Draw(page).text((3, 1), text, font=font, fill="black")
        return page


PARTS: dict[str, type[Part]] = {"picture": Picture, "sound": Sound, "text": Words}
"""By the names that they go by, in this order."""
