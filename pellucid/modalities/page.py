"""Texts as small pictures: letters on paper, drawn by Pillow."""

from collections.abc import Iterator, Sequence
from math import ceil, sqrt
from textwrap import wrap
from unicodedata import east_asian_width

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from pellucid.modalities.font import drawable, font_for

SIZE, LEADING, COLUMN, MARGIN = 13, 17, 8, 8
PAPER, INK = (255, 255, 255), (28, 32, 40)
ASPECT, ROOM = 2.2, 2.5  # columns to lines; lines for those that are all of letters
NARROWEST, WIDEST = 36, 64  # columns


def pages(texts: Sequence[str], length: int) -> list[NDArray[np.uint8]]:
    """Each text as a picture (3, H, W) whose size depends on `length` alone, with room for about so many characters."""
    columns = int(min(WIDEST, max(NARROWEST, ceil(sqrt(length * ASPECT)))))
    broken = [list(_lines(drawable(text), columns)) for text in texts]
    lines = ceil(ROOM * length / columns) + 1
    font = font_for("".join(texts), SIZE)
    size = (2 * MARGIN + columns * COLUMN, 2 * MARGIN + lines * LEADING)
    return [_page(one[:lines], size, font) for one in broken]


def _page(lines: Sequence[str], size: tuple[int, int], font: ImageFont.FreeTypeFont) -> NDArray[np.uint8]:
    picture = Image.new("RGB", size, PAPER)
    draw = ImageDraw.Draw(picture)
    for place, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + place * LEADING), line, font=font, fill=INK)
    return np.ascontiguousarray(np.asarray(picture, dtype=np.uint8).transpose(2, 0, 1))


def _lines(text: str, columns: int) -> Iterator[str]:
    """Broken where they are too long: at spaces, and between wide letters, of which half as many fit."""
    for line in text.split("\n"):
        wide = sum(east_asian_width(letter) in "WF" for letter in line) > len(line) / 2
        yield from wrap(line, columns // 2 if wide else columns, replace_whitespace=False) or [""]
