"""A line chart as inline SVG, drawn without a library and coloured by the page's style sheet, so it follows dark mode."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.evaluation.axis import Axis
from pellucid.evaluation.markup import Markup, join, tag
from pellucid.evaluation.wording import short

Array = NDArray[np.float64]

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 466, 12, 252  # of the plot's frame
POINTS = 500  # drawn of one series; longer ones are thinned


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve. Gaps are NaN.

    Arguments:
        x, y: (N,) places of its points.
        style: "line", "early" (a fainter line), "points" (raw values, whose outliers may leave the frame), "floor" (dashed).
        label: for the legend; none if empty.
        low, high: (N,) ends of a band around the line.
    """

    x: Array
    y: Array
    style: str = "line"
    label: str = ""
    low: Array | None = None
    high: Array | None = None


def chart(series: Sequence[Series], *, title: str, x_label: str, log_y: bool = False, zero_y: bool = False) -> Markup:
    """The figure: title and legend in HTML above one SVG that scales with the page."""
    legend = [tag("span", curve.label, class_=f"key {curve.style}") for curve in series if curve.label]
    drawing = plot(series, title=title, x_label=x_label, log_y=log_y, zero_y=zero_y)
    return tag("figure", tag("figcaption", tag("b", title), " ", *legend), drawing, class_="chart")


def plot(
    series: Sequence[Series], *, title: str, x_label: str, log_y: bool = False, zero_y: bool = False, **attributes: object
) -> Markup:
    """The SVG alone, `title` as what it is called, with further `attributes`.

    A log axis becomes linear where values at or below 0 would be lost; an x axis that begins near 0 begins at 0.
    """
    x, y = np.concatenate([curve.x for curve in series]), np.concatenate([_extent(curve) for curve in series])
    x_axis = Axis.around(x, zero=bool(0 <= x.min() < x.max() / 2))
    y_axis = Axis.around(y, log=log_y, zero=zero_y, margin=0.04)
    return tag(
        "svg",
        tag("title", f"{title} against {x_label}"),
        *_grid(x_axis, y_axis),
        tag("text", x_label, x=(LEFT + RIGHT) / 2, y=HEIGHT - 8, class_="axis", text_anchor="middle"),
        *(_curve(curve, x_axis, y_axis) for curve in series),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", **attributes,
    )


def _extent(curve: Series) -> Array:
    """The values that the y axis must show: all of a line and its band, the bulk of a cloud of points."""
    y = curve.y[np.isfinite(curve.y)]
    if curve.style == "points" and len(y):
        return np.quantile(y, [0.01, 0.99])
    bands = [band[np.isfinite(band)] for band in (curve.low, curve.high) if band is not None]
    return np.concatenate([y, *bands])


def _grid(x_axis: Axis, y_axis: Axis) -> list[Markup]:
    marks = []
    for value, y in _placed(y_axis, BOTTOM, TOP):
        marks.append(tag("path", d=f"M{LEFT} {y}H{RIGHT}", class_="grid"))
        marks.append(tag("text", short(value), x=LEFT - 8, y=y + 4, text_anchor="end"))
    marks.append(tag("path", d=f"M{LEFT} {BOTTOM}H{RIGHT}", class_="base"))
    for value, x in _placed(x_axis, LEFT, RIGHT):
        marks.append(tag("path", d=f"M{x} {BOTTOM}v5", class_="base"))
        marks.append(tag("text", short(value), x=x, y=BOTTOM + 20, text_anchor="middle"))
    return marks


def _placed(axis: Axis, start: float, end: float) -> list[tuple[float, float]]:
    ticks = np.array(axis.ticks())
    places = start + axis.place(ticks) * (end - start)
    return list(zip(ticks.tolist(), places.round(1).tolist(), strict=True))


def _curve(curve: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    kept = np.unique(np.linspace(0, len(curve.x) - 1, min(len(curve.x), POINTS)).round().astype(int))
    x = LEFT + x_axis.place(curve.x[kept]) * (RIGHT - LEFT)

    def height(values: Array) -> Array:
        return BOTTOM - y_axis.place(values[kept]) * (BOTTOM - TOP)

    if curve.style == "points":
        y = height(curve.y)
        return tag("path", d=_dots(x, np.where((y > TOP) & (y < BOTTOM), y, np.nan)), class_="points")
    band = None
    if curve.low is not None and curve.high is not None:
        outline = _path(np.concatenate([x, x[::-1]]), np.concatenate([height(curve.high), height(curve.low)[::-1]]))
        band = tag("path", d=f"{outline}Z" if outline else "", class_="band")
    return join(band, tag("path", d=_path(x, height(curve.y)), class_=curve.style))


def _dots(x: Array, y: Array) -> str:
    seen = np.isfinite(x) & np.isfinite(y)
    return "".join(f"M{a:.1f} {b:.1f}h0" for a, b in zip(x[seen], y[seen], strict=True))


def _path(x: Array, y: Array) -> str:
    """Straight segments, the pen lifted over NaN."""
    words, drawing = [], False
    for a, b in zip(x, y, strict=True):
        seen = bool(np.isfinite(a) and np.isfinite(b))
        if seen:
            words.append(f"{'L' if drawing else 'M'}{a:.1f} {b:.1f}")
        drawing = seen
    return "".join(words)
