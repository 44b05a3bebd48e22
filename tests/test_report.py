"""The report of a run: one closed, balanced, escaped page from whatever the run left behind."""

import json
import math
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pellucid.core.errors import UserError
from pellucid.evaluation.axis import Axis
from pellucid.evaluation.chart import POINTS, Series, chart
from pellucid.evaluation.curves import smoothed
from pellucid.evaluation.history import History
from pellucid.evaluation.level_chart import level_section
from pellucid.evaluation.metric_table import metric_table
from pellucid.evaluation.report import verdict, write_report

VOID = {"br", "img", "meta"}
SOURCES = {"src", "href", "srcset", "poster", "action", "xlink:href"}
SCRIPT = "<script>alert('1')</script>\"&"


class Page(HTMLParser):
    """Every tag opened and closed in order; its texts, attributes and tag names."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data

    def paths(self, style: str) -> list[str]:
        return re.findall(rf'<path d="([^"]*)" class="{style}">', self.source)


def train(samples: int, loss: float = 0.5, **more: Any) -> dict[str, Any]:
    return {
        "event": "train", "time": 1e9 + samples, "samples": samples, "loss": loss, "learning_rate": 1e-4,
        "samples_per_second": 100.0, "gradient_norm": 1.0, **more,
    }


def evaluation(samples: int, value: float = 3.2178) -> dict[str, Any]:
    metric = {"value": value, "low": value - 1, "high": value + 1, "floor": 0.287, "n": 2000}
    return {"event": "evaluation", "samples": samples, "metrics": {"frechet": metric}}


def log(run: Path, *events: dict[str, Any], tail: str = "") -> None:
    (run / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + tail)


def picture(path: Path, size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(exist_ok=True)
    Image.new("L", size, 128).save(path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with everything, hostile texts included."""
    run = tmp_path / "run <b> & co"
    run.mkdir()
    log(
        run,
        {"event": "plan", "time": 1e9, "samples": 0, "minutes": 15.0},
        *(train(samples, 1 / samples) for samples in range(1, 901)),
        {"event": "checkpoint", "samples": 900, "path": SCRIPT},
        {"event": "unheard of", "samples": 900},
        evaluation(450, 40.0),
        evaluation(900),
        {"event": "levels", "samples": 450, "log_snr": [5, -5, 0], "loss": [0.01, 1.0, math.nan]},
        {
            "event": "levels", "samples": 900, "log_snr": [-5, 0, 5], "loss": [0.9, 0.3, 0.01], "floor": [0.8, 0.1, 0],
            "above_floor": 0.25, "hidden_below": -1.5,
        },
        {"event": "end", "time": 1e9 + 900, "samples": 900},
    )
    summary = {
        "command": f"pellucid train '{SCRIPT}'",
        "data": {
            "labels": {SCRIPT: 6000, "coat": 5999}, "shape": [1, 28, 28], SCRIPT: "lone \ud800 surrogate", "rejected": 3,
            "reasons": {"damaged": 2, SCRIPT: 1}, "examples": [[SCRIPT, "damaged: too short"], "no pair"],
        },
        "network": {"parameters": 703425, "compiled": True},
        "hardware": {"cpu": "2 cores", "gpu": None},
    }
    (run / "summary.json").write_text(json.dumps(summary))
    (run / "config.toml").write_text(f"# {SCRIPT}\nseed = 0\n")
    (run / "model.safetensors").write_bytes(bytes(2_900_000))
    for name in ("samples.png", "journey.gif", "nearest.png", "training.png", "a.webp", "z <i>.png"):
        picture(run / "pictures" / name)
    return run


def test_page_is_closed_escaped_and_its_own(run: Path) -> None:
    path = write_report(run)
    page = Page(path)
    assert path == run / "report.html"
    assert not {"script", "link", "iframe", "i"} & set(page.tags)
    assert page.text.count(SCRIPT) == 6  # the command, a label, a key, a reason, a file's name, the configuration
    assert "run <b> & co" in page.text
    assert not re.search(r"https?://", page.source)
    assert not re.search(r"url\(|@import", page.source)
    sources = [str(value).partition(";")[0] for key, value in page.attributes if key in SOURCES]
    kinds = ["png", "gif", "png", "webp", "png", "png"]
    assert sources == [f"data:image/{kind}" for kind in kinds]
    assert not [key for key, _ in page.attributes if key.startswith("on")]


def test_page_tells_everything_in_order(run: Path) -> None:
    text = Page(write_report(run)).text
    order = [
        "run <b> & co", "Fréchet distance 3.22 (real against real: 0.287) after 900 samples in 15 min.", "finished",
        "703.4k", "2.9 MB", "Samples", "From noise to sample", "Nearest training samples", "More pictures", "Metrics",
        "2.22 to 4.22", "0.287", "2,000", "Loss", "Learning rate", "Speed", "Error by noise level", "25% above the floor",
        "Examples", "1, 28, 28", "coat", "5,999", "Not read: 3", "2 × damaged", "2 cores", "Repeat it", "pellucid train",
        "Configuration", "seed = 0",
    ]
    places = [text.index(order[0])]
    for words in order[1:]:
        places.append(text.index(words, places[-1]))
    assert places == sorted(places)


EVERYTHING = ("log.jsonl", "config.toml", "summary.json", "model.safetensors", "pictures")


@pytest.mark.parametrize("names", [*((name,) for name in EVERYTHING), EVERYTHING], ids=str)
def test_missing_parts_leave_no_empty_sections(run: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (run / name).rename(run.parent / name)
    page = Page(write_report(run))
    words = zip(EVERYTHING, ("Loss", "Configuration", "Repeat it", "Model file", "From noise"), strict=True)
    assert {name for name, word in words if word not in page.text} == set(names)
    if names == EVERYTHING:
        assert "Nothing has been logged yet." in page.text
        assert "section" not in page.tags


@pytest.mark.parametrize("tail", ['{"event": "train", "sam', "[1, 2]\n", "null\n", "\x00\xff\n", "[" * 100_000])
def test_truncated_or_foreign_lines_are_skipped(run: Path, tail: str) -> None:
    log(run, train(1), train(2), tail=tail)
    assert "Loss 0.5 after 2 samples in 1 s." in Page(write_report(run)).text


def test_values_of_the_wrong_kind_do_no_harm(run: Path) -> None:
    log(
        run, train(1), {**train(2), "loss": "much"}, {**train(3), "loss": True},
        {**train(4), "samples": 10**400, "time": "noon", "loss": None},
        {"event": "evaluation", "metrics": [1]}, {"event": "evaluation", "samples": 3, "metrics": {"frechet": 3}},
        {"event": "evaluation", "samples": 3, "metrics": {SCRIPT: {"value": None, "n": []}}},
        {"event": "levels", "log_snr": [1, 2], "loss": [1]}, {"event": "levels", "log_snr": 5}, {"event": ["end"]},
    )
    (run / "summary.json").write_text("[]")
    page = Page(write_report(run))
    assert "<script" not in page.source
    assert "Error by noise level" not in page.text
    odd = {"labels": [1], "reasons": 3, "examples": {"a": 1}, "rejected": 1, "notes": {"a": "b"}, "bytes": "x"}
    (run / "summary.json").write_text(json.dumps({"data": odd, "network": [1]}))
    assert "Not read: 1" in Page(write_report(run)).text


def test_broken_and_huge_pictures_are_named(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.evaluation.gallery.LARGEST", 10_000)
    (run / "pictures" / "broken.png").write_text("no picture")
    (run / "pictures" / "huge.gif").write_bytes(bytes(10_001))
    text = Page(write_report(run)).text
    assert "broken.png is not a picture" in text
    assert "huge.gif (10 kB) is too large" in text


def test_a_run_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No run folder"):
        write_report(tmp_path / "nowhere")


def test_losses_that_are_not_finite_raise_the_alarm(run: Path) -> None:
    log(run, train(1), train(2, math.nan), train(3), train(4, math.inf), train(5, math.nan))
    page = Page(write_report(run))
    assert "diverged: the loss is not a finite number from 4 samples on" in page.text
    assert "as logged, 3 not finite" in page.text
    assert "nan" not in "".join(page.paths("line")).lower()
    log(run, train(1), train(2, math.nan), train(3))
    assert verdict(History.read(run / "log.jsonl")) == ("Loss 0.5 after 3 samples in 2 s.", False)


def test_what_a_resumed_run_did_again_is_counted_once(tmp_path: Path) -> None:
    end = {"event": "end", "samples": 4}
    log(tmp_path, train(1), train(2), evaluation(2), train(3), evaluation(3), train(4), end, train(3, 0.1), train(5, 0.2))
    history = History.read(tmp_path / "log.jsonl")
    assert history.column("train", "samples").tolist() == [1, 2, 3, 5]
    assert history.column("train", "loss").tolist() == [0.5, 0.5, 0.1, 0.2]
    assert history.column("evaluation", "samples").tolist() == [2]
    assert not history.ended


def test_drawing_of_a_metric_is_to_scale() -> None:
    """From 0 at the left to the largest at the right: the floor's tick, the value's dot, the ends of the interval's bar."""
    metric = {"value": 8.0, "low": 6.0, "high": 10.0, "floor": 1.0, "n": 9}
    table = str(metric_table(History(events=({"event": "evaluation", "samples": 3, "metrics": {"frechet": metric}},))))
    line, bar, tick = re.findall(r'<path d="M([\d.]+) [\d.]+[HV]([\d.]+)', table)
    left, right = float(line[0]), float(line[1])
    dot = re.search(r'<circle cx="([\d.]+)"', table)
    assert dot
    places = (np.array([tick[0], bar[0], dot[1], bar[1]], dtype=float) - left) / (right - left)
    np.testing.assert_allclose(places, [0.1, 0.6, 0.8, 1.0], atol=0.001)
    assert metric_table(History()) is None
    bare = {"value": 2.0, "low": None, "floor": None}
    alone = str(metric_table(History(events=({"event": "evaluation", "metrics": {"odd": bare}},))))
    assert len(re.findall("<path", alone)) == 1


def test_labels_have_bars_as_long_as_their_counts(tmp_path: Path) -> None:
    counts = {f"label {i}": 10 * (i + 1) for i in range(30)}
    (tmp_path / "summary.json").write_text(json.dumps({"data": {"labels": counts, "unlabelled": 150}}))
    page = Page(write_report(tmp_path))
    widths = [float(value[6:-1]) for key, value in page.attributes if key == "style" and value]
    assert widths == pytest.approx([*(100 * (i + 1) / 30 for i in range(6, 30)), 50], abs=0.06)
    assert "and 6 more labels with 10 to 60 samples" in page.text


def test_floor_ends_where_it_leaves_the_frame() -> None:
    """It is drawn down to a quarter of the least error, along the straight line to the next level."""
    curves = {"log_snr": [0, 1, 2, 3], "loss": [1, 0.4, 0.1, 0.04], "floor": [1, 0.1, 1e-3, 0]}
    event = {"event": "levels", "samples": 5, **curves}
    (section,) = level_section(History(events=(event,)))
    floor, line = (re.search(rf'd="([^"]*)" class="{style}"', section) for style in ("floor", "line"))
    assert floor
    assert line
    x, _ = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", floor[1]), dtype=float).T
    assert (x - 56) / 410 * 3 == pytest.approx([0, 1, 1.5], abs=0.01)  # 0.01 is half way from 0.1 to 0.001
    assert len(re.findall("[ML]", line[1])) == 5
    assert "%" not in section  # nothing is said of what was not measured


RANGES = [(0.0, 1.0), (-9.3, 8.1), (1e-7, 3e-7), (5.0, 5.0), (0.0, 0.0), (-3.0, -3.0), (1e5, 9e9), (0.02, 0.7), (1.0, 40.0)]


@pytest.mark.parametrize(("low", "high"), RANGES)
@pytest.mark.parametrize("log_scale", [False, True])
def test_ticks_are_few_round_and_within_the_axis(low: float, high: float, log_scale: bool) -> None:
    axis = Axis.around(np.array([low, np.nan, high]), log=log_scale, margin=0.05)
    ticks = axis.ticks()
    assert axis.log == (log_scale and low > 0)
    assert 2 <= len(ticks) <= 8
    assert all(len(f"{tick:.10e}".partition("e")[0].rstrip("0")) <= 5 for tick in ticks)  # at most three digits
    places = axis.place(np.array(ticks))
    assert (places > -1e-9).all()
    assert (places < 1 + 1e-9).all()
    assert (np.diff(places) > 0).all()


@pytest.mark.parametrize("log_y", [False, True])
def test_curve_lies_where_its_numbers_say(log_y: bool) -> None:
    """Numbers in equal steps (or ratios) are drawn at equal distances, rightwards and upwards."""
    y = np.array([1.0, 10.0, 100.0]) if log_y else np.array([1.0, 2.0, 3.0])
    drawing = chart([Series(x=np.arange(3.0), y=y)], title="a", x_label="b", log_y=log_y)
    path = re.search(r'd="([^"]*)" class="line"', drawing)
    assert path
    x, height = np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path[1]), dtype=float).T
    assert (x[0], x[-1]) == (56, 466)
    np.testing.assert_allclose(np.diff(x), 205, atol=0.11)
    assert height[0] - height[1] == pytest.approx(height[1] - height[2], abs=0.11)
    assert height[0] > height[1] + 50


def test_long_series_are_thinned_and_gaps_stay_gaps() -> None:
    y = np.sin(np.arange(100_000) / 1e4)
    y[40_000:60_000] = np.nan
    path = re.search(r'd="([^"]*)" class="line"', chart([Series(x=np.arange(100_000.0), y=y)], title="a", x_label="b"))
    assert path
    assert path[1].count("M") == 2
    assert 0.7 * POINTS < len(re.findall("[ML]", path[1])) <= POINTS


def test_smoothing_keeps_lines_straight_and_skips_what_is_not_finite() -> None:
    line = np.arange(50.0)
    np.testing.assert_allclose(smoothed(line, 9)[:46], line[:46])
    noisy = 1 + np.random.default_rng(0).normal(size=4000)
    noisy[::7] = np.nan
    assert np.nanstd(smoothed(noisy, 100)[100:-100]) < 0.2
    assert np.isnan(smoothed(np.full(3, np.nan), 2)).all()
