"""Quality against work: every way to sample that was tried, those worth taking, and what real data gets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.evaluation.chart import Series, chart
from pellucid.evaluation.curves import metric_name
from pellucid.evaluation.history import History, number
from pellucid.evaluation.markup import Markup
from pellucid.evaluation.wording import figure


def cost_section(history: History) -> list[Markup]:
    """The last curve that was measured."""
    event: Mapping[str, Any] = next(reversed(history.kind("curve")), {})
    listed = event.get("points")
    points = [row for row in map(_row, listed if isinstance(listed, list) else ()) if np.isfinite(row).all()]
    if not points:
        return []
    calls, value, low, high = np.array(sorted(points)).T
    worth = value <= np.minimum.accumulate(value)
    floor, name = number(event.get("floor")), metric_name(str(event.get("metric", "")))
    series = [Series(x=calls, y=value, style="points", label="tried"), _line(calls, value, low, high, worth)]
    if np.isfinite(floor):
        ends = np.array([calls.min(), calls.max()])
        series.append(Series(x=ends, y=np.full(2, floor), style="floor", label="real data"))
    title = f"{name}, {figure(number(event.get('n')))} samples each"
    return [chart(series, title=title, x_label="network calls for a sample", log_y=True)]


def _line(calls: NDArray[Any], value: NDArray[Any], low: NDArray[Any], high: NDArray[Any], worth: NDArray[Any]) -> Series:
    return Series(x=calls[worth], y=value[worth], low=low[worth].clip(1e-6), high=high[worth], label="worth taking")


def _row(point: Any) -> tuple[float, ...]:
    known = point if isinstance(point, dict) else {}
    return tuple(number(known.get(name)) for name in ("calls", "value", "low", "high"))
