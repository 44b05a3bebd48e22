"""Series as small pictures: a line for each column, drawn without a library."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

WIDTH, HEIGHT, MARGIN = 208, 120, 7
ALIKE = 0.1  # difference of two ranges, as a share of one, up to which they are one
FINER = 3  # lines are drawn so many times as large, then averaged
PAPER, FRAME = (255, 255, 255), (214, 216, 222)
COLOURS = (
    (32, 99, 176), (217, 95, 14), (27, 138, 107), (170, 55, 122), (122, 98, 190), (153, 120, 30), (90, 100, 110),
    (200, 60, 60),
)  # fmt: skip
"""Of columns, in turn; told apart by people who see few colours (after Okabe and Ito 2008)."""

Bytes = NDArray[np.uint8]


def panels(series: NDArray[np.float64], low: Sequence[float], high: Sequence[float]) -> list[Bytes]:
    """Each of the series (B, C, L) as a picture (3, HEIGHT, WIDTH), from its own least to its own largest values.

    Arguments:
        low, high: what each column ranges over in all the data; columns with nearly the same range have one scale, so that
            what lies between them is seen.
    """
    shared = _alike(np.asarray(low), np.asarray(high))
    return [_panel(one, shared) for one in series]


def _alike(low: NDArray[np.float64], high: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each column the first one with which it has its scale in common."""
    away = np.abs(low[:, None] - low) + np.abs(high[:, None] - high)
    return np.asarray((away <= ALIKE * (high - low)[:, None]).argmax(0))


def _panel(values: NDArray[np.float64], shared: NDArray[np.int64]) -> Bytes:
    width, height, margin = WIDTH * FINER, HEIGHT * FINER, MARGIN * FINER
    picture = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, width - 1, height - 1), outline=FRAME, width=FINER)
    x = np.linspace(margin, width - margin, max(2, values.shape[1]))
    for index, row in enumerate(values):
        beside = values[shared == shared[index]]
        known = beside[np.isfinite(beside)]
        least, reach = (known.min(), np.ptp(known)) if len(known) else (0.0, 0.0)
        share = (row - least) / reach if reach > 0 else np.where(np.isfinite(row), 0.5, np.nan)
        y, colour = height - margin - share * (height - 2 * margin), COLOURS[index % len(COLOURS)]
        for run in _runs(y):
            points = [(float(x[at]), float(y[at])) for at in run]
            if len(points) > 1:
                draw.line(points, fill=colour, width=round(1.4 * FINER), joint="curve")
            else:
                (left, top), r = points[0], FINER
                draw.ellipse((left - r, top - r, left + r, top + r), fill=colour)
    small = picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX)
    return np.ascontiguousarray(np.asarray(small, dtype=np.uint8).transpose(2, 0, 1))


def _runs(y: NDArray[np.float64]) -> list[NDArray[np.int64]]:
    """Places of values that follow each other, none missing among them."""
    places = np.flatnonzero(np.isfinite(y))
    return [run for run in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1) if len(run)]
