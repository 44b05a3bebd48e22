"""What mattered as a picture: a bar for each setting, drawn without a library for charts."""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw

from pellucid.core.files import atomic_write
from pellucid.modalities.font import font_for

WIDTH, ROW, MARGIN, GAP = 640, 26, 20, 12
"""In points; everything is drawn SCALE times as large."""
SCALE, LETTERS, TITLE = 2, 13, 16
BARS = 250
PAPER, INK, SOFT, ACCENT = "#fdfdfc", "#1b1d21", "#6a6f78", "#1f6f78"


def draw_importance(shares: Mapping[str, float], title: str, note: str, path: Path) -> None:
    """Bars for `shares`, which add up to 1, the longest as long as there is room, to a PNG."""
    text, large = font_for("".join(shares) + note, SCALE * LETTERS), font_for(title, SCALE * TITLE)
    top = MARGIN + ROW + GAP
    picture = Image.new("RGB", (SCALE * WIDTH, SCALE * (top + ROW * len(shares) + ROW + MARGIN)), PAPER)
    draw, longest = ImageDraw.Draw(picture), max(shares.values())
    draw.text((SCALE * MARGIN, SCALE * MARGIN), title, fill=INK, font=large)
    left = WIDTH - MARGIN - 50 - BARS
    for index, (name, share) in enumerate(shares.items()):
        middle = top + ROW * index + ROW // 2
        draw.text((SCALE * (left - GAP), SCALE * middle), name, fill=INK, font=text, anchor="rm")
        end = left + max(1, round(BARS * share / longest))
        draw.rounded_rectangle([SCALE * value for value in (left, middle - 6, end, middle + 6)], SCALE * 2, ACCENT)
        draw.text((SCALE * (WIDTH - MARGIN), SCALE * middle), f"{share:.0%}", fill=SOFT, font=text, anchor="rm")
    draw.text((SCALE * MARGIN, SCALE * (top + ROW * len(shares) + ROW // 2)), note, fill=SOFT, font=text)
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)
