"""The report of a tuning: what came of it, how losses fell, what mattered, every trial."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.evaluation.chart import Series, chart
from pellucid.evaluation.gallery import picture_of
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.page import page
from pellucid.evaluation.wording import duration, figure, short
from pellucid.tuning.tried import Trial, Tried
from pellucid.tuning.watching import POINTS, QUICK

LUCK = (
    "Each trial is one training with the same seed, so a difference is of settings and of luck; the interval is over the "
    "samples held out alone. Where trials are counted in minutes, what else the machine did counts too: see their samples. "
    "Train the best and the default again with other seeds before much rests on it."
)
STATES = {"complete": "came to its end", "pruned": "stopped early", "failed": "failed"}
CLOSE = str.maketrans(" ", "\N{NO-BREAK SPACE}")
"""Keeps a short cell on one line."""


def tuning_page(name: str, tried: Tried, recipe: Path, importance: Path) -> Markup:
    """The whole document; `recipe` and `importance` are embedded where they are."""
    notes = (tag("p", note, class_="note") for note in (f"{tried.footing}. The loss is {tried.unit}.", LUCK))
    header = tag("header", tag("h1", name), tag("p", tried.verdict, class_="verdict"), *notes)
    mattered = _section("What mattered", picture_of(importance)) if tried.importance and importance.is_file() else None
    return page(f"{name}: tuning", header, _best(tried), _curves(tried), mattered, _trials(tried), _recipe(recipe))


def _section(title: str, *content: Markup | None) -> Markup:
    return tag("section", tag("h2", title), *content)


def _best(tried: Tried) -> Markup | None:
    """The best settings beside the default's, where they are others."""
    if tried.best is None or tried.best.default:
        return None
    rows = [
        tag("tr", tag("th", key, scope="row"), tag("td", ours), tag("td", theirs))
        for key, ours, theirs in beside_default(tried, tried.best)
    ]
    head = tag("thead", tag("tr", *(tag("th", word, scope="col") for word in ("Setting", "Best", "Default"))))
    return _section("The best settings", tag("table", head, tag("tbody", *rows)))


def _curves(tried: Tried) -> Markup | None:
    """How the loss fell: of all trials, with the best and the default among them."""
    best, default = tried.best, tried.default
    shown = [each for each in tried.trials if len(each.curve) > 1]
    if not shown:
        return None
    rest = [each for each in shown if each not in (best, default)]
    series = [_curve(each, "early", "others" if each is rest[0] else "") for each in rest]
    if default in shown and default is not None:
        series.append(_curve(default, "floor", "the default"))
    if best in shown and best is not None and best is not default:
        series.append(_curve(best, "line", f"trial {best.number}, the best"))
    drawing = chart(series, title=f"Held-out loss of {QUICK} samples", x_label="percent of a trial", log_y=True)
    return _section("How the loss fell", tag("div", drawing, class_="charts"))


def _curve(trial: Trial, style: str, label: str) -> Series:
    x, y = np.array(list(trial.curve)) * 100 / POINTS, np.array(list(trial.curve.values()))
    return Series(x=x, y=y, style=style, label=label)


def _trials(tried: Tried) -> Markup:
    keys = list(dict.fromkeys(key for each in tried.trials for key in each.settings))
    head = ("Trial", "Loss", "", "Time", "Samples", *(key for key in keys))
    rows = []
    for each in tried.trials:
        measured = "–" if each.loss is None else figure(each.loss, 4)
        what = STATES[each.state].translate(CLOSE) + (f": {each.reason.splitlines()[0]}" if each.reason else "")
        seen, took = "–" if each.samples_seen is None else short(each.samples_seen), duration(each.seconds).translate(CLOSE)
        cells = (measured, what, took, seen)
        settings = (value_in_words(each.settings.get(key)) for key in keys)
        name = (f"{each.number}, the default" if each.default else str(each.number)).translate(CLOSE)
        rows.append(tag("tr", tag("th", name, scope="row"), *(tag("td", cell) for cell in (*cells, *settings))))
    table = tag("table", tag("thead", tag("tr", *(tag("th", word, scope="col") for word in head))), tag("tbody", *rows))
    return _section("All trials", tag("div", table, class_="wide"))


def _recipe(file: Path) -> Markup | None:
    if not file.is_file():
        return None
    return _section("As a recipe", tag("pre", file.read_text(encoding="utf-8").strip()))


def beside_default(tried: Tried, trial: Trial) -> list[tuple[str, str, str]]:
    """Each setting of a trial, what it is there, and what it is by default, in words."""
    return [
        (key, value_in_words(value), value_in_words(tried.defaults[key]) if key in tried.defaults else "follows from others")
        for key, value in trial.settings.items()
    ]


def value_in_words(value: Any) -> str:
    """A setting as a reader takes it in.

    >>> value_in_words(0.0123456), value_in_words([0.9, 0.99]), value_in_words("edm"), value_in_words(None)
    ('0.0123', '0.9, 0.99', 'edm', '–')
    """
    if value is None:
        return "–"
    if isinstance(value, list):
        return ", ".join(map(value_in_words, value))
    if isinstance(value, float):
        return f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)
