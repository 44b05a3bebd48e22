"""A picture that was sent, and what is to become of it."""

from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.datastructures import FormData, UploadFile

from pellucid.core.errors import ConfigError, DataError
from pellucid.modalities.read_picture import read_entry
from pellucid.model.edit import edit
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.serving.batcher import Tell
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
    async def of(
        cls, form: FormData, channels: int, *, strength: float | None, upscale: int | None, denoise: float | None
    ) -> "Retouch":
        """From a form with the files `image` (or `image[]`) and `mask`, for a model with so many channels."""
        sent = [one for name in ("image", "image[]") for one in form.getlist(name)]
        if len(sent) != 1:
            raise ConfigError(f"{len(sent)} pictures came as image: expected one")
        picture, own = _opened(await _content(sent[0], "image"), "image", channels)
        mask, restoring = form.get("mask"), upscale is not None or denoise is not None
        if mask is not None:
            grey, clear = _opened(await _content(mask, "mask"), "mask", 1)
            own = grey[0] if clear is None else clear
        if own is None and not restoring and strength is None:
            strength = STRENGTH
        return cls(picture=picture, mask=own, strength=strength, upscale=upscale, denoise=denoise)

    def made(self, model: Model, n: int, seed: int, tell: Tell, **settings: Any) -> Samples:
        """`n` versions."""
        return edit(model, self.picture, mask=self.mask, strength=self.strength, upscale=self.upscale, denoise=self.denoise,
                    n=n, seed=seed, progress=tell, **settings)  # fmt: skip


async def _content(sent: UploadFile | str, name: str) -> bytes:
    if isinstance(sent, str):
        raise DataError(f"{name} came as text: expected a file, as multipart/form-data has them")
    return await sent.read()


def _opened(content: bytes, name: str, channels: int) -> tuple[Bytes, Bytes | None]:
    """A picture, and where it is transparent, if it is anywhere."""
    entry = Entry(name=name, open=lambda: BytesIO(content), suffix=None)
    pixels, notes = read_entry(entry, channels)
    if channels == 4:
        return pixels, None
    clear = 255 - read_entry(entry, 4)[0][3] if any("transparency" in note for note in notes) else None
    return pixels, clear if clear is not None and clear.any() else None
