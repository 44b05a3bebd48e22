"""Letters for pictures: of Pillow's font, which knows those of English, or of the machine's own that knows most."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path

from PIL import ImageFont

PLACES = ("/usr/share/fonts", "/usr/local/share/fonts", "/System/Library/Fonts", "/Library/Fonts", "C:/Windows/Fonts")
NAMES = (
    "DejaVuSansMono.ttf", "LiberationMono-Regular.*", "NotoSansMono-Regular.*", "Menlo.*", "consola.ttf",
    "NotoSansMonoCJK*Regular*", "NotoSansCJK*Regular*", "NotoSansCJK*.ttc", "wqy-*", "DroidSansFallback*", "PingFang*",
    "msyh.*", "unifont.otf",
)  # fmt: skip
"""Of letters of one width first, then those of many scripts."""
NOTHING = "\uffff"
"""No letter of any font."""


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont:
    """The first that knows most letters of `text`; `size` in pixels. Pillow's where it is enough, so that pictures are the
    same on every machine.
    """
    letters, best = frozenset(drawable(text)) - frozenset("\n "), _pillows(size)
    least = unknown(best, letters)
    for font in _installed(size) if least else ():
        count = unknown(font, letters)
        if count < least:
            best, least = font, count
    return best


def drawable(text: str) -> str:
    """What cannot be drawn, and makes some fonts fail, becomes a space; lines stay."""
    return "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text)


def unknown(font: ImageFont.FreeTypeFont, letters: frozenset[str]) -> int:
    """How many of them are shown as missing."""
    missing = bytes(font.getmask(NOTHING))
    return sum(bytes(font.getmask(letter)) == missing for letter in letters)


@cache
def _pillows(size: int) -> ImageFont.FreeTypeFont:
    found = ImageFont.load_default(size)
    assert isinstance(found, ImageFont.FreeTypeFont)
    return found


@cache
def _installed(size: int) -> tuple[ImageFont.FreeTypeFont, ...]:
    return tuple(_found(size))


def _found(size: int) -> Iterator[ImageFont.FreeTypeFont]:
    folders = [Path(place) for place in PLACES if Path(place).is_dir()]
    for name in NAMES:
        for path in sorted(path for folder in folders for path in folder.rglob(name)):
            try:
                yield ImageFont.truetype(str(path), size)
            except OSError:
                continue
