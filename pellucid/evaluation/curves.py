"""The curves of a run: loss, learning rate, speed, and each metric over training."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.evaluation.chart import Series, chart
from pellucid.evaluation.history import History, column, number, numbers
from pellucid.evaluation.markup import Markup

Array = NDArray[np.float64]

SAMPLES = "samples seen"
METRICS = {
    "frechet": "Fréchet distance",
    "kernel": "Kernel distance",
    "agreement": "Label agreement",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "memorisation": "Memorisation",
}


def metric_name(key: str) -> str:
    """A metric's name for people."""
    return METRICS.get(key, key.replace("_", " ").capitalize())


def metrics_of(event: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The metrics of an evaluation that are told in the agreed form."""
    found = event.get("metrics")
    return {key: value for key, value in found.items() if isinstance(value, dict)} if isinstance(found, dict) else {}


def training_curves(history: History) -> list[Markup]:
    """Loss, learning rate and speed, those that were logged twice or more."""
    return [figure for figure in (_loss(history), _standing(history), _rate(history), _speed(history)) if figure]


def metric_curves(history: History) -> list[Markup]:
    """Each metric that was measured twice or more, with its interval and floor, over training."""
    evaluations = history.kind("evaluation")
    figures = []
    for key in {key: None for event in evaluations for key in metrics_of(event)}:
        measured = [event for event in evaluations if key in metrics_of(event)]
        rows = [{**metrics_of(event)[key], "samples": event.get("samples")} for event in measured]
        seen = [row for row in rows if np.isfinite([number(row.get("value")), number(row["samples"])]).all()]
        if len(seen) > 1:
            figures.append(_metric(metric_name(key), seen))
    return figures


def smoothed(values: Array, width: int) -> Array:
    """Mean over the finite ones of the `width` values around each, fewer at the ends: (N,) -> (N,).

    The window stays symmetric at the start, where a loss falls steeply, and is cut off at the end.
    """
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    middle = np.arange(len(values))
    first = middle - np.minimum(width // 2, middle)
    last = np.minimum(2 * middle - first + 1, len(values))
    total, count = sums[last] - sums[first], counts[last] - counts[first]
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _loss(history: History) -> Markup | None:
    logged = history.column("train", "loss")
    samples, loss = _finite(history.column("train", "samples"), logged)
    if len(loss) < 2:
        return None
    broken = int((~np.isfinite(logged)).sum())
    note = f"as logged, {broken} not finite" if broken else "as logged"
    line = Series(x=samples, y=smoothed(loss, len(loss) // 25), label="smoothed")
    raw = Series(x=samples, y=loss, style="points", label=note)
    return chart([raw, line], title="Loss", x_label=SAMPLES, log_y=True)


def _standing(history: History) -> Markup | None:
    """What is not trained on beside what is, in the same measure, and the loss of whoever knows the latter by heart."""
    events = history.kind("held out")
    if len(events) < 2:
        return None
    samples = column(events, "samples")
    held, trained = (np.array([numbers(event.get(name)).mean() for event in events]) for name in ("held_out", "trained"))
    lines = [Series(x=samples, y=held, label="held out"), Series(x=samples, y=trained, style="points", label="trained on")]
    known = number(events[-1].get("by_heart"))
    if np.isfinite(known):
        lines.append(Series(x=samples[[0, -1]], y=np.full(2, known), style="floor", label="by heart"))
    return chart(lines, title="Held-out loss", x_label=SAMPLES, zero_y=True)


def _rate(history: History) -> Markup | None:
    samples, rate = _finite(history.column("train", "samples"), history.column("train", "learning_rate"))
    if len(rate) < 2:
        return None
    return chart([Series(x=samples, y=rate)], title="Learning rate", x_label=SAMPLES, zero_y=True)


def _speed(history: History) -> Markup | None:
    time, speed = _finite(history.column("train", "time"), history.column("train", "samples_per_second"))
    if len(speed) < 2:
        return None
    elapsed = time - time.min()
    long = [(unit, scale) for unit, scale in (("hours", 3600), ("minutes", 60)) if elapsed.max() > 3 * scale]
    unit, scale = (*long, ("seconds", 1))[0]
    raw = Series(x=elapsed / scale, y=speed, style="points")
    line = Series(x=elapsed / scale, y=smoothed(speed, len(speed) // 25))
    return chart([raw, line], title="Speed, samples a second", x_label=f"{unit} since the start", zero_y=True)


def _metric(title: str, rows: list[dict[str, Any]]) -> Markup:
    x, value = column(rows, "samples"), column(rows, "value")
    series = [Series(x=x, y=value, low=column(rows, "low"), high=column(rows, "high"), label="with interval")]
    floor = number(rows[-1].get("floor"))
    if np.isfinite(floor):
        ends = np.array([x.min(), x.max()])
        series.append(Series(x=ends, y=np.full(2, floor), style="floor", label="floor"))
    wide = value.min() > 0 and value.max() > 10 * value.min()
    return chart(series, title=title, x_label=SAMPLES, log_y=bool(wide))


def _finite(x: Array, y: Array) -> tuple[Array, Array]:
    seen = np.isfinite(x) & np.isfinite(y)
    return x[seen], y[seen]
