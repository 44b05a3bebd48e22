"""Error against log-SNR: where along the noise the model still loses, and how far above the least possible it is."""

import numpy as np
from numpy.typing import NDArray

from pellucid.evaluation.chart import Series, chart
from pellucid.evaluation.history import Event, History, number, numbers
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.wording import figure, short

DEPTH = 4.0
"""The floor is followed down to the least error divided by this."""

Array = NDArray[np.float64]


def level_section(history: History) -> list[Markup]:
    """The last measurement with its floor, and the first one if there were several; beside it what it says."""
    curves = {number(event.get("samples")): curve for event in history.kind("levels") if (curve := _curve(event))}
    if not curves:
        return []
    (seen, (x, loss, floor)), *_ = reversed(curves.items())
    series, label = [], "error"
    if len(curves) > 1:
        first, (early_x, early, _) = next(iter(curves.items()))
        series.append(Series(x=early_x, y=early, label=f"at {short(first)}", style="early"))
        label = f"at {short(seen)}"
    if floor is None:
        series.append(Series(x=x, y=loss, label=label if series else ""))
    else:
        x, loss, floor = _cut(x, loss, floor, float(loss.min()) / DEPTH)
        end = int(np.argmin(floor)) + 1
        series.append(Series(x=x, y=loss, label=label, low=floor, high=loss))
        series.append(Series(x=x[:end], y=floor[:end], label="floor", style="floor"))
    drawing = chart(series, title="Squared error per value", x_label="log-SNR, from noise to data", log_y=True)
    return [tag("div", drawing, _explained(history.kind("levels")[-1]), class_="charts")]


def _explained(event: Event) -> Markup | None:
    """What the curves are, with the last measurement's figures."""
    above, below = number(event.get("above_floor")), number(event.get("hidden_below"))
    if not np.isfinite([above, below]).all():
        return None
    gain = f"{figure(100 * above, 2)}% above the floor" if above > 0 else "at the floor"
    sentences = (
        "How far the model's guess at the clean sample is off, for each strength of noise. The floor is the error of one "
        "who knows all training samples by heart: on them, there is no less.",
        f"Up to log-SNR {figure(below)} the noise hides which training sample is meant. There the model is {gain}, which is "
        "what more training or a larger network can still gain.",
        "Beyond that the gap is wanted: a model that comes down to the floor has memorised its training samples.",
    )
    return tag("div", *(tag("p", sentence) for sentence in sentences), class_="words")


def _curve(event: Event) -> tuple[Array, Array, Array | None] | None:
    """Levels in rising order, errors and floor; nothing where an event is not in the agreed form."""
    log_snr, loss, floor = (numbers(event.get(name)) for name in ("log_snr", "loss", "floor"))
    if len(log_snr) != len(loss) or not (np.isfinite(log_snr).all() and np.isfinite(loss).any()):
        return None
    order = np.argsort(log_snr)
    whole = len(floor) == len(loss) and bool(np.isfinite(floor).all() and np.isfinite(loss).all() and loss.min() > 0)
    return log_snr[order], loss[order], floor[order] if whole else None


def _cut(x: Array, loss: Array, floor: Array, least: float) -> tuple[Array, Array, Array]:
    """The floor held at `least` from where it falls below it, a place that is put between the levels."""
    end = int(np.argmax(floor < least))
    if not end:
        return x, loss, np.maximum(floor, least)
    log_floor, log_loss = (np.log(np.maximum(values[end - 1 : end + 1], 1e-300)) for values in (floor, loss))
    share = (np.log(least) - log_floor[0]) / (log_floor[1] - log_floor[0])
    x = np.insert(x, end, x[end - 1] + share * (x[end] - x[end - 1]))
    loss = np.insert(loss, end, np.exp(log_loss[0] + share * (log_loss[1] - log_loss[0])))
    return x, loss, np.maximum(np.insert(floor, end, least), least)
