"""A series and what may come of it, as a picture: a line for what is known, a band for what is not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Values = NDArray[np.float64]

WIDTH, HEIGHT = 760, 190
LEFT, RIGHT, TOP, BOTTOM = 74, 748, 26, 164  # of the plot's frame
FINER = 3  # drawn so many times as large, then averaged
DOT = 5  # radius, so enlarged, of a value with none beside it
PAPER, INK, FRAME = "white", (70, 74, 84), (214, 216, 222)
KNOWN, MIDDLE, BAND = (32, 99, 176), (196, 78, 10), (255, 214, 176)


@dataclass(frozen=True, kw_only=True)
class Fan:
    """One column over T rows.

    Attributes:
        name: of the column.
        known: (T,), NaN where it is not.
        low, middle, high: (T,) quantiles of what was drawn.
    """

    name: str
    known: Values
    low: Values
    middle: Values
    high: Values


def fan_chart(fans: Sequence[Fan], *, first: str = "", last: str = "") -> Image.Image:
    """The columns one under the other; `first` and `last` are the times at either end."""
    whole = Image.new("RGB", (WIDTH, HEIGHT * len(fans)), PAPER)
    for place, fan in enumerate(fans):
        whole.paste(_drawn(fan, first, last), (0, HEIGHT * place))
    return whole


def _drawn(fan: Fan, first: str, last: str) -> Image.Image:
    values = np.concatenate([fan.known, fan.low, fan.high])
    bottom, top = np.nanmin(values), np.nanmax(values)
    x = np.linspace(LEFT, RIGHT, len(fan.known)) * FINER

    def points(series: Values) -> Values:
        share = (series - bottom) / (top - bottom) if top > bottom else np.full(len(series), 0.5)
        return np.stack([x, (BOTTOM - share * (BOTTOM - TOP)) * FINER], axis=1)

    picture = Image.new("RGB", (WIDTH * FINER, HEIGHT * FINER), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle([LEFT * FINER, TOP * FINER, RIGHT * FINER, BOTTOM * FINER], outline=FRAME, width=FINER)
    for rows in _runs(np.isnan(fan.known)):
        reach = np.arange(max(0, rows[0] - 1), min(len(x), rows[-1] + 2))  # joined to what is known on either side
        outline = np.concatenate([points(fan.high)[reach], points(fan.low)[reach][::-1]])
        draw.polygon([*map(tuple, outline)], fill=BAND)
        draw.line([*map(tuple, points(fan.middle)[reach])], fill=MIDDLE, width=2 * FINER, joint="curve")
    for rows in _runs(np.isfinite(fan.known)):
        if len(rows) == 1:
            across, down = points(fan.known)[rows[0]]
            draw.ellipse([across - DOT, down - DOT, across + DOT, down + DOT], fill=KNOWN)
        draw.line([*map(tuple, points(fan.known)[rows])], fill=KNOWN, width=2 * FINER, joint="curve")
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    write, font = ImageDraw.Draw(small), ImageFont.load_default(12)
    write.text((LEFT, 5), fan.name, fill=INK, font=font)
    for text, place, anchor in (
        (f"{top:.5g}", (LEFT - 6, TOP), "rt"), (f"{bottom:.5g}", (LEFT - 6, BOTTOM), "rb"),
        (first, (LEFT, BOTTOM + 5), "lt"), (last, (RIGHT, BOTTOM + 5), "rt"),
    ):  # fmt: skip
        write.text(place, text, fill=INK, font=font, anchor=anchor)
    return small


def _runs(chosen: NDArray[np.bool_]) -> list[NDArray[np.int64]]:
    """Rows that follow each other without a break."""
    rows = np.flatnonzero(chosen)
    return [run for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1) if len(run)]
