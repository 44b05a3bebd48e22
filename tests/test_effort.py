"""Sampling that is chosen by time or quality: the curve that it rests on, the choice, the commands."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pellucid.cli.app import _run as main
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.evaluation import cost_curve
from pellucid.evaluation.cost_curve import measure_curve
from pellucid.evaluation.evaluate import evaluate
from pellucid.model import effort
from pellucid.model.effort import Point, calls, choose, front
from pellucid.model.files import SHIPPED
from pellucid.model.model import Model
from pellucid.training.measure import changeable, run_data
from pellucid.training.train import train

SETTINGS = (
    "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "sampling.steps=2",
    "training.evaluate=false", "training.weak=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 4, 4), dtype=np.uint8)
    np.savez(folder / "x.npz", images=pixels, labels=np.array(["a", "b", "c"])[np.arange(96) % 3])
    train(folder / "x.npz", folder / "run", samples=256, settings=SETTINGS)
    return folder / "run"


@pytest.fixture(autouse=True)
def _a_call_takes_a_millisecond(monkeypatch: pytest.MonkeyPatch) -> None:
    """And curves are measured with as few samples as there may be, in few ways, however much time is given."""
    for name, few in (("MOST", cost_curve.LEAST), ("STEPS", (2, 5)), ("GRIDS", ("log_snr",)), ("GUIDANCE", (1.0, 2.0))):
        monkeypatch.setattr(cost_curve, name, few)
    monkeypatch.setattr(effort, "seconds_per_call", lambda *_, **__: 0.001)


def point(cost: int, value: float, **settings: Any) -> Point:
    usual = {"sampler": "ddim", "grid": "uniform", "steps": cost, "guidance": 1.0, "against": "null"}
    return Point(settings={**usual, **settings}, calls=cost, value=value, low=value, high=value)


def with_curve(model: Model, *points: Point) -> Model:
    model.card["curve"] = {"points": [one.as_card() for one in points]}
    return model


def test_the_front_is_what_nothing_cheaper_beats() -> None:
    rng = np.random.default_rng(0)
    points = [point(int(cost), float(value)) for cost, value in zip(rng.integers(1, 20, 50), rng.random(50), strict=True)]
    kept = front(points)
    for one in points:
        beaten = any(other.calls <= one.calls and other.value < one.value for other in points)
        assert (one in kept) != beaten
    assert [one.calls for one in kept] == sorted({one.calls for one in kept})


def test_without_a_curve_time_alone_chooses_the_steps(run: Path) -> None:
    model, taken = Model.load(run), []
    model.card.pop("curve", None)  # that another test may have measured
    for seconds in (0.1, 0.5, 1.0, 3.0):
        settings = choose(model, 10, within=seconds)
        cost = calls(model, model.sampling(**settings), conditional=False)
        assert 10 * cost * 0.001 * effort.SPARE <= seconds
        taken.append(settings["steps"])
        assert model.sample(2, **settings).nfe == cost
    assert taken == sorted(taken)
    assert taken[0] < taken[1]
    with pytest.raises(ConfigError, match=r"within = 0.001 s: the least that is known takes about 0.011 s for n = 10"):
        choose(model, 10, within=0.001)
    with pytest.raises(ConfigError, match="--curve"):
        choose(model, 10, quality="best")


def test_a_curve_is_chosen_from(run: Path) -> None:
    """The best that fits; what needs a label only where one is asked for; nothing that is worse than something cheaper."""
    model = with_curve(
        Model.load(run), point(4, 3.0), point(8, 2.0), point(12, 2.5), point(16, 1.0, guidance=2.0), point(20, 1.5),
        point(24, 0.5, guidance=1.5, against="weak"),
    )  # fmt: skip
    within = {seconds: choose(model, 10, within=seconds, conditional=True)["steps"] for seconds in (0.06, 0.15, 0.2, 1.0)}
    assert within == {0.06: 4, 0.15: 8, 0.2: 16, 1.0: 24}
    assert choose(model, 10, within=0.2)["steps"] == 8
    assert choose(model, 10, quality="best")["steps"] == 24
    model.weak = None
    assert choose(model, 10, quality="best", conditional=True)["steps"] == 16
    assert choose(model, 10, quality="best")["steps"] == 20
    for wrong in ({}, {"within": 1.0, "quality": "best"}, {"quality": "good"}, {"within": 0.0}, {"within": float("nan")}):
        with pytest.raises(ConfigError):
            choose(model, 10, **wrong)  # type: ignore[arg-type]


def test_a_measured_curve_says_what_evaluate_says(run: Path) -> None:
    model, data = Model.load(run), run_data(run)
    told: list[tuple[int, int]] = []
    found = measure_curve(model, data, minutes=2.0, progress=lambda done, total: told.append((done, total)))
    assert {one.settings["steps"] for one in found.points} == {2, 5, cost_curve.MIDDLE}
    assert {one.settings["against"] for one in found.points if one.settings["guidance"] != 1} == {"null", "weak"}
    assert len({str(one.settings["sampler"]) for one in found.points}) > 3
    assert told[-1][0] == pytest.approx(told[-1][1], rel=0.3)
    for one in (found.points[0], found.front[-1]):
        again = evaluate(model, data, n=found.n, **one.settings)
        assert again.metrics[found.metric].value == pytest.approx(one.value, rel=1e-6, abs=1e-9)
        assert again.samples.nfe == one.calls
    with pytest.raises(ConfigError, match="200 samples for each way"):
        measure_curve(model, data, minutes=1e-6)


def test_the_commands(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Measured once, kept in the file and shown in the report, then used; options that contradict are refused."""
    assert main(["evaluate", str(run), "--curve", "--minutes", "2"]) == 0
    out = capsys.readouterr().out
    assert "kept in" in out
    assert "step" in out
    assert "Quality against work" in (run / "report.html").read_text(encoding="utf-8")
    kept = Model.load(run).card["curve"]
    sheet = str(tmp_path / "a.png")
    assert main(["sample", str(run), "-n", "4", "--label", "all", "--quality", "best", "--out", sheet, "--json"]) == 0
    used = json.loads(capsys.readouterr().out)["settings"]
    assert used == min(kept["points"], key=lambda one: one["value"])["settings"]
    assert main(["sample", str(run), "-n", "4", "--within", "5", "--out", sheet]) == 0
    assert "chosen" in capsys.readouterr().out
    for wrong, said in (
        (["sample", str(run), "--within", "5", "--steps", "3"], "leave --steps out"),
        (["sample", str(run), "--within", "5", "--quality", "best"], "give one of them"),
        (["sample", str(run), "--within", "-1"], "more than 0"),
        (["evaluate", str(run), "--curve", "--steps", "3"], "--steps has no effect"),
        (["evaluate", str(run), "--minutes", "3"], "without --curve"),
    ):
        assert main([*wrong, *(["--out", sheet] if wrong[0] == "sample" else [])]) == 2
        assert said in capsys.readouterr().err


def test_what_comes_with_the_package_is_not_changed() -> None:
    with pytest.raises(UnsupportedError, match="not changed"):
        changeable(Path("emoji"))
    assert (SHIPPED / "emoji.safetensors").is_file()


def test_the_time_of_a_call(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is predicted is near what sampling takes, as a ratio with room for a busy machine."""
    monkeypatch.undo()
    model = Model.load(run)
    predicted = effort.seconds_per_call(model, 64) * 640 * 20
    took = model.sample(640, sampler="ddim", steps=20).seconds
    assert 0.1 < predicted / took < 3
