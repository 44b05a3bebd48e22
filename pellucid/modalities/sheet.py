"""Many pictures as one: contact sheets, large enough to be looked at."""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pellucid.modalities.canvas import as_picture, on_white
from pellucid.modalities.font import drawable, font_for, unknown

TILE = 96  # pixels to which a small picture is enlarged, about
LARGEST = 4096  # side up to which a sheet is enlarged
CAPTION = 16  # pixels under each picture, when there are labels
INK, PAPER = "black", "white"


def sheet(
    pictures: Sequence[NDArray[np.uint8]], *, columns: int | None = None, labels: Sequence[str | None] | None = None
) -> Image.Image:
    """Pictures (C, H, W) side by side, row by row, on white; each pixel of a small one becomes a square of pixels.

    Arguments:
        columns: pictures in a row; None makes the sheet about square.
        labels: a caption for each picture.

    Raises:
        DataError: pictures with other than 1, 3 or 4 channels.
    """
    channels, height, width = pictures[0].shape
    columns = columns or min(len(pictures), ceil(sqrt(len(pictures) * height / width)))
    rows = ceil(len(pictures) / columns)
    side = max(height, min(width, 2 * height))  # of a strip its frames are to be seen
    scale = max(1, min(round(TILE / side), LARGEST // (max(rows * height, columns * width))))
    gap = scale * max(1, height // 32)
    step_x, step_y = scale * width + gap, scale * height + gap + (CAPTION if labels else 0)
    size = columns * step_x + gap, rows * step_y + gap
    whole = Image.new("L" if channels == 1 else "RGB", size, PAPER)
    draw, font = ImageDraw.Draw(whole), font_for("".join(label or "" for label in labels or ()), CAPTION - 5)
    for index, data in enumerate(pictures):
        left, top = gap + index % columns * step_x, gap + index // columns * step_y
        picture = on_white(as_picture(data))
        whole.paste(picture.resize((scale * width, scale * height), Image.Resampling.NEAREST), (left, top))
        if labels and (label := labels[index]):
            middle = left + scale * width // 2
            shown = _fitted(label, font, scale * width)
            draw.text((middle, top + scale * height + 1), shown, fill=INK, font=font, anchor="ma")
    return whole


def _fitted(label: str, font: Any, width: int) -> str:
    """As much of a label as there is room for; nothing of one that the font has no letters for."""
    label = drawable(label).replace("\n", " ")
    if unknown(font, frozenset(label)):
        return ""
    if font.getlength(label) <= width:
        return label
    kept = next(end for end in range(len(label) - 1, -1, -1) if font.getlength(label[:end] + "…") <= width or end == 0)
    return label[:kept].rstrip() + "…"
