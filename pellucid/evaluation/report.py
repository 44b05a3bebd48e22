"""The report of a run: one HTML file that needs nothing else, neither a network nor a script, from what lies in its folder.

Read, each if it is there: `log.jsonl`, `config.toml`, `summary.json`, `pictures/`, the size of `model.safetensors`. Every
text from the run is escaped.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.evaluation.cost_chart import cost_section
from pellucid.evaluation.curves import metric_curves, metric_name, metrics_of, training_curves
from pellucid.evaluation.data_section import data_section
from pellucid.evaluation.gallery import EXAMPLES, gallery
from pellucid.evaluation.history import History, number
from pellucid.evaluation.level_chart import level_section
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.metric_table import metric_table
from pellucid.evaluation.page import page
from pellucid.evaluation.summary_table import summary_table
from pellucid.evaluation.wording import duration, figure, short, size

TABLES = ("codec", "network", "hardware")
"""Sections of `summary.json` that are told as they are."""


def write_report(run: Path) -> Path:
    """Writes RUN/report.html and returns its path.

    Raises:
        UserError: `run` is not a folder, or cannot be written to.
    """
    run = Path(run)
    if not run.is_dir():
        raise UserError(f"No run folder '{run}': expected the folder that `pellucid train --out` made")
    history, summary = History.read(run / "log.jsonl"), _summary(run / "summary.json")
    tables = (_section(name.capitalize(), summary_table(_mapping(summary.get(name)))) for name in TABLES)
    text = page(
        run.resolve().name,
        _opening(run, history, summary),
        *gallery(run / "pictures"),
        _section("Metrics", metric_table(history)),
        _section("Over training", *_charts(metric_curves(history))),
        _section("Quality against work", *_charts(cost_section(history))),
        _section("Training", *_charts(training_curves(history))),
        _section("Error by noise level", *level_section(history)),
        _section("Data", *data_section(_mapping(summary.get("data")), run / "pictures" / f"{EXAMPLES}.png")),
        *tables,
        _section("Repeat it", tag("pre", str(summary["command"]), class_="command") if "command" in summary else None),
        _configuration(run / "config.toml"),
    )
    with atomic_write(run / "report.html") as temporary:
        temporary.write_text(text, encoding="utf-8", errors="replace")  # JSON may hold lone surrogates
    return run / "report.html"


def _opening(run: Path, history: History, summary: Mapping[str, Any]) -> Markup:
    sentence, alarm = verdict(history)
    facts = [tag("div", tag("dt", name), tag("dd", value)) for name, value in _facts(run, history, summary)]
    return tag(
        "header",
        tag("h1", run.resolve().name),
        tag("p", sentence, class_="verdict alarm" if alarm else "verdict"),
        tag("dl", *facts, class_="facts") if facts else None,
    )


def verdict(history: History) -> tuple[str, bool]:
    """The run in one sentence, and whether that is an alarm."""
    samples, loss = history.column("train", "samples"), history.column("train", "loss")
    effort = f"after {figure(samples[-1])} samples in {duration(history.seconds)}" if len(samples) else "so far"
    finite = np.flatnonzero(np.isfinite(loss))
    if len(loss) and not np.isfinite(loss[-1]):
        since = samples[finite[-1] + 1] if len(finite) else samples[0]
        return f"Training diverged: the loss is not a finite number from {figure(since)} samples on.", True
    for event in reversed(history.kind("evaluation")):
        for key, metric in metrics_of(event).items():
            if np.isfinite(number(metric.get("value"))):
                return f"{metric_name(key)} {_with_floor(metric)} {effort}.", False
    if len(finite):
        return f"Loss {figure(loss[finite[-max(1, len(loss) // 25):]].mean())} {effort}.", False
    return "Nothing has been logged yet.", False


def _with_floor(metric: Mapping[str, Any]) -> str:
    value, floor = number(metric.get("value")), number(metric.get("floor"))
    return figure(value) + (f" (real against real: {figure(floor)})" if np.isfinite(floor) else "")


def _facts(run: Path, history: History, summary: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    samples, speed = history.column("train", "samples"), history.column("train", "samples_per_second")
    planned = history.column("plan", "minutes")
    parameters = number(_mapping(summary.get("network")).get("parameters"))
    if len(samples):
        yield "Status", "finished" if history.ended else "running or stopped"
        yield "Samples seen", short(samples[-1])
        yield "Time", duration(history.seconds)
    if np.isfinite(planned[-1:]).any():
        yield "Planned", duration(60 * planned[-1])
    for reached in history.kind("reached")[-1:]:
        yield "Held-out loss", figure(number(reached.get("loss")))
        yield "Training", str(reached.get("word") or "–")
    for expected in history.kind("budget")[-1:]:
        if np.isfinite(number(expected.get("low"))):
            yield "Expected (80%)", f"{figure(number(expected['low']))} to {figure(number(expected.get('high')))}"
    if np.isfinite(speed).any():
        yield "Speed", f"{figure(float(np.nanmedian(speed)))} samples/s"
    if np.isfinite(parameters):
        yield "Parameters", short(parameters)
    if (run / "model.safetensors").is_file():
        yield "Model file", size((run / "model.safetensors").stat().st_size)


def _charts(figures: list[Markup]) -> list[Markup]:
    return [tag("div", *figures, class_="charts")] if figures else []


def _section(title: str, *content: Markup | None) -> Markup | None:
    return tag("section", tag("h2", title), *content) if any(content) else None


def _configuration(path: Path) -> Markup | None:
    if not path.is_file():
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    return tag("details", tag("summary", "Configuration"), tag("pre", text.strip()))


def _summary(path: Path) -> Mapping[str, Any]:
    """What the run says of itself; nothing where the file is missing or not JSON."""
    try:
        return _mapping(json.loads(path.read_text(encoding="utf-8", errors="replace")))
    except (OSError, ValueError, RecursionError):
        return {}


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
