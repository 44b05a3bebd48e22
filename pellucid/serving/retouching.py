"""A picture that was sent, and what is to become of it."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import FormData, UploadFile

from pellucid.core.errors import ConfigError, DataError
from pellucid.modalities.canvas import Canvas
from pellucid.modalities.open_picture import open_picture, why
from pellucid.modalities.read_picture import read_entry
from pellucid.model.edit import edit
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.serving.batcher import Tell
from pellucid.serving.guard import TooLargeError
from pellucid.sources.entry import Entry

STRENGTH = 0.6
"""Of a change where nothing says which part, or how much."""
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Retouch:
    """Arguments of `edit`.

    A mask is as OpenAI has it, transparent where the picture is to be made new; one without transparency is white there. A
    picture that is transparent in part is its own mask.
    """

    picture: Bytes
    mask: Bytes | None
    strength: float | None
    upscale: int | None
    denoise: float | None

    @classmethod
    def of(
        cls, form: FormData, channels: int, n: int, most: int, *, strength: float | None, upscale: int | None,
        denoise: float | None,
    ) -> "Retouch":  # fmt: skip
        """From a form with the files `image` (or `image[]`) and `mask`, for `n` versions by a model with so many channels.

        Raises:
            TooLargeError: a picture of more than `most` pixels, or as many in all versions at its own size.
        """
        sent = [one for name in ("image", "image[]") for one in form.getlist(name)]
        if len(sent) != 1:
            raise ConfigError(f"{len(sent)} pictures came as image: expected one")
        picture, own = _opened(_content(sent[0], "image"), "image", channels, most)
        mask, restoring = form.get("mask"), upscale is not None or denoise is not None
        if mask is not None:
            grey, clear = _opened(_content(mask, "mask"), "mask", 1, most)
            own = grey[0] if clear is None else clear
        if own is not None and n * picture[0].size > most:  # as all else is made at the model's size
            raise TooLargeError(f"n = {n} versions of a picture of {picture[0].size:,} pixels with a mask: expected "
                                f"{most:,} pixels at most in all: ask for fewer, or send a smaller picture")  # fmt: skip
        if own is None and not restoring and strength is None:
            strength = STRENGTH
        return cls(picture=picture, mask=own, strength=strength, upscale=upscale, denoise=denoise)

    @property
    def size(self) -> int:
        """Bytes that it holds."""
        return self.picture.nbytes + (0 if self.mask is None else self.mask.nbytes)

    def made(self, model: Model, n: int, seed: int, tell: Tell, **settings: Any) -> Samples:
        """`n` versions."""
        return edit(model, self.picture, mask=self.mask, strength=self.strength, upscale=self.upscale, denoise=self.denoise,
                    n=n, seed=seed, progress=tell, **settings)  # fmt: skip


def _content(sent: UploadFile | str, name: str) -> bytes:
    if isinstance(sent, str):
        raise DataError(f"{name} came as text: expected a file, as multipart/form-data has them")
    return sent.file.read()


def _opened(content: bytes, name: str, channels: int, most: int) -> tuple[Bytes, Bytes | None]:
    """A picture of at most so many pixels, and where it is transparent, if it is anywhere."""
    entry = Entry(name=name, open=lambda: BytesIO(content), suffix=None)
    try:
        with open_picture(entry) as header:
            width, height = header.size
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        raise DataError(f"Cannot read '{name}' as a picture: {why(error)}") from None
    if width * height > most:
        raise TooLargeError(f"{name} has {width} x {height} pixels: expected {most:,} at most: send a smaller one")
    if channels not in (1, 3):
        return read_entry(entry, channels)[0], None
    pixels, _ = read_entry(entry, 4)
    clear = 255 - pixels[3]
    return Canvas(height=height, width=width, channels=channels).of_array(pixels), clear if clear.any() else None
