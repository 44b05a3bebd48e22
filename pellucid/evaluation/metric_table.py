"""The figures of a run as a table, each beside a small drawing that shows how far from real it is."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.evaluation.curves import metric_name, metrics_of
from pellucid.evaluation.history import History, number
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.wording import figure, short

WIDTH, HEIGHT, MARGIN = 200, 20, 6  # of a drawing
NOTE = (
    "Bar: the confidence interval about the value. Tick: the floor, real data against real data, which is what a perfect "
    "model would reach; the closer the bar is to the tick, the closer to real. N: samples measured."
)


def metric_table(history: History) -> Markup | None:
    """The last measurement of each metric; nothing if there is none."""
    latest = {
        key: (number(event.get("samples")), metric)
        for event in history.kind("evaluation") for key, metric in metrics_of(event).items()
    }
    if not latest:
        return None
    seen = {samples for samples, _ in latest.values()}
    columns = ["Metric", "Value", "Interval", "Floor", "", "N", *(["Seen"] if len(seen) > 1 else [])]
    rows = (_row(key, metric, samples if len(seen) > 1 else None) for key, (samples, metric) in latest.items())
    head = (tag("th", name, scope="col", class_=None if name else "drawing") for name in columns)
    table = tag("table", tag("thead", tag("tr", *head)), tag("tbody", *rows), class_="figures")
    note = NOTE + (" Seen: samples seen in training by then." if len(seen) > 1 else "")
    return tag("div", tag("div", table, class_="wide"), tag("p", note, class_="note"))


def _row(key: str, metric: Mapping[str, Any], samples: float | None) -> Markup:
    value, low, high, floor, n = (number(metric.get(name)) for name in ("value", "low", "high", "floor", "n"))
    interval = f"{figure(low)} to {figure(high)}" if np.isfinite([low, high]).all() else "–"
    return tag(
        "tr",
        tag("th", metric_name(key), scope="row"),
        tag("td", figure(value), class_="value"),
        tag("td", interval, class_="interval"),
        tag("td", figure(floor)),
        tag("td", _drawing(value, low, high, floor), class_="drawing"),
        tag("td", figure(n)),
        tag("td", short(samples)) if samples is not None else None,
    )


def _drawing(value: float, low: float, high: float, floor: float) -> Markup | None:
    """Interval as a bar, value as a dot, floor as a tick, on a line from 0 to the largest of them."""
    known = np.array([x for x in (0.0, value, low, high, floor) if np.isfinite(x)])
    start, end = known.min(), known.max()
    if not np.isfinite(value) or start == end:
        return None

    def place(x: float) -> float:
        return round(float(MARGIN + (x - start) / (end - start) * (WIDTH - 2 * MARGIN)), 1)

    middle = HEIGHT / 2
    bar = tag("path", d=f"M{place(low)} {middle}H{place(high)}", class_="interval") if np.isfinite(high - low) else None
    tick = tag("path", d=f"M{place(floor)} 3V{HEIGHT - 3}", class_="tick") if np.isfinite(floor) else None
    return tag(
        "svg",
        tag("path", d=f"M{place(start)} {middle}H{place(end)}", class_="base"), bar, tick,
        tag("circle", cx=place(value), cy=middle, r=3.5),
        viewBox=f"0 0 {WIDTH} {HEIGHT}", aria_hidden="true",
    )  # fmt: skip
