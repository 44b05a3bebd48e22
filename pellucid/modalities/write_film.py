"""Films as files that other programs play."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import numpy as np
from PIL import Image

from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.core.optional import optional

ENCODED = {".mp4": ("libx264", {"crf": "14"}), ".webm": ("libvpx-vp9", {"crf": "20", "b:v": "0"})}
"""Encoder and its settings, for files as good as they look."""
MOVING = (".webp", ".gif", *ENCODED)
FASTEST_GIF = 50
"""Frames per second; what is to go faster, browsers show at 10."""
SHOWN = 128
"""Pixels of the longer side to which the pictures of an encoded film are enlarged, about: players make small ones a blur."""


def write_film(pictures: Sequence[Image.Image], path: Path, rate: float) -> None:
    """Pictures of one size, `rate` a second, whole or not at all. WebP keeps every value, GIF 256 colours of each picture.

    Raises:
        UserError: the path cannot be written, or the encoder refuses.
    """
    suffix = path.suffix.lower()
    if suffix == ".gif" and rate > FASTEST_GIF:
        raise UserError(f"Cannot write '{path}' at {rate:g} frames a second: a GIF shows {FASTEST_GIF} at most, take .webp "
                        "or .mp4")  # fmt: skip
    if suffix in ENCODED:
        _encode(pictures, path, Fraction(rate).limit_denominator(1000))
        return
    kept = [_of_256_colours(picture) for picture in pictures] if suffix == ".gif" else list(pictures)
    unit = 10 if suffix == ".gif" else 1  # milliseconds in which the format counts
    ends = [unit * round(1000 / unit * number / rate) for number in range(len(kept) + 1)]
    shown = [after - before for before, after in pairwise(ends)]
    with atomic_write(path) as temporary:  # `lossless`, `exact` are WebP's; `disposal` GIF's
        kept[0].save(
            temporary, save_all=True, append_images=kept[1:], duration=shown, loop=0, lossless=True, exact=True, disposal=2,
            minimize_size=False, allow_mixed=False,
        )  # fmt: skip


def _of_256_colours(picture: Image.Image) -> Image.Image:
    if picture.mode == "L":
        return picture
    palette = picture.convert("RGB").quantize(256, method=Image.Quantize.MEDIANCUT)
    return picture.convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)


def _encode(pictures: Sequence[Image.Image], path: Path, rate: Fraction) -> None:
    av, (codec, options) = optional("av", "Video", "video"), ENCODED[path.suffix.lower()]
    scale = max(1, ceil(SHOWN / max(pictures[0].size)))
    width, height = (ceil(scale * side / 2) * 2 for side in pictures[0].size)  # half as many colours each way: even sides
    with atomic_write(path) as temporary:
        try:
            with av.open(str(temporary), "w", format=path.suffix[1:].lower()) as container:
                stream = container.add_stream(codec, rate=rate, options=options)
                stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
                for picture in pictures:
                    large = picture.convert("RGB").resize((width, height), Image.Resampling.NEAREST)
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(large), format="rgb24")))
                container.mux(stream.encode(None))
        except av.FFmpegError as error:
            raise UserError(f"Cannot write '{path}': {error}") from None
