"""Training in so many minutes: what is chosen to fit them, what is said of it, and what is left as it was given."""

import json
from itertools import pairwise
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pellucid.data.pack import Pack
from pellucid.training import fit as module
from pellucid.training.config import NAME, RunConfig, apply_settings, load_config
from pellucid.training.expected import Expected, Law, features, laws
from pellucid.training.fit import Speed, fit
from pellucid.training.plan import Plan
from pellucid.training.prepare import prepare
from pellucid.training.train import train

LAW = Law(intercept=log(0.5), slopes=(0.5, -0.1, 0.1), spread=0.1, quantile=1.4)
RATES = {"tiny": 800.0, "small": 100.0, "base": 10.0}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def speeds(monkeypatch: pytest.MonkeyPatch) -> list[RunConfig]:
    """A machine whose speed is known, with a law for pictures: what was measured on it."""
    asked = list[RunConfig]()

    def speed(config: RunConfig, prepared: Any, _device: str) -> Speed:
        asked.append(config)
        size = str(config.network.get("size", "tiny"))
        pixels = np.prod(prepared.facts.shape[1:]) / 1024
        return Speed(config=config, rate=RATES[size] / pixels, parameters={"tiny": 600_000, "small": 5_000_000}.get(size, 1))

    monkeypatch.setattr(module, "speed", speed)
    monkeypatch.setattr(module, "laws", lambda: {"image": LAW})
    return asked


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 pictures of 32 x 32."""
    place = tmp_path_factory.mktemp("squares") / "squares.npy"
    np.save(place, np.random.default_rng(0).integers(0, 255, (400, 32, 32, 1)).astype(np.uint8))
    return place


def fitted(data: Path, folder: Path, minutes: float, *settings: str) -> Any:
    config = apply_settings(RunConfig(), [f"data.path={data}", f"training.minutes={minutes}", *settings])
    prepared = prepare(config, folder)
    config = config.model_copy(update={"modality": prepared.kind})
    fixed = [setting.partition("=")[0] for setting in settings]
    return fit(config, prepared, folder, "cpu", fixed, lambda *_: None)


@pytest.mark.parametrize(("minutes", "size", "batch"), [(2, "tiny", 16), (60, "small", 16), (6000, "small", 16)])
def test_the_longer_the_larger(
    speeds: list[RunConfig], squares: Path, tmp_path: Path, minutes: float, size: str, batch: int
) -> None:
    """By hand: log(L/L₀) of every choice, the least of which is taken."""
    budget = fitted(squares, tmp_path / "data", minutes)
    assert (budget.config.network.get("size", "tiny"), budget.config.training.batch) == (size, batch)
    assert budget.config.training.held_out == 20
    assert f"{size} network" in budget.lines["plan"]
    assert len(speeds) <= 5


def test_what_is_given_stays(speeds: list[RunConfig], squares: Path, tmp_path: Path) -> None:
    given = ("network.size=tiny", "training.batch=48", "training.held_out=0", "data.size=32")
    budget = fitted(squares, tmp_path / "data", 6000, *given)
    assert budget.config.network["size"] == "tiny"
    assert (budget.config.training.batch, budget.config.training.held_out) == (48, 0)
    assert len(speeds) == 1


def test_pictures_are_halved_where_time_is_short(speeds: list[RunConfig], squares: Path, tmp_path: Path) -> None:
    """At 64 x 64 a quarter of the speed: ten minutes hold 20,000 samples at 32 x 32 alone."""
    large = tmp_path / "large.npy"
    np.save(large, np.repeat(np.repeat(np.load(squares), 2, 1), 2, 2))
    budget = fitted(large, tmp_path / "data", 0.6)
    assert budget.config.data.size == 32
    assert budget.prepared.facts.shape == (1, 32, 32)
    assert Pack.open(tmp_path / "data").shape == (1, 32, 32)
    assert fitted(large, tmp_path / "given", 0.6, "data.size=64").prepared.facts.shape == (1, 64, 64)
    assert fitted(squares, tmp_path / "small", 0.001).prepared.facts.shape == (1, 32, 32)  # no smaller than that
    assert speeds


def test_what_is_expected(speeds: list[RunConfig], squares: Path, tmp_path: Path) -> None:
    """White noise, of which a linear denoiser has a loss of 1, as the law has it."""
    budget = fitted(squares, tmp_path / "data", 1)
    samples = budget.event["planned"]
    middle = LAW.middle(samples, 600_000, 16)
    assert budget.event["loss"] == pytest.approx(exp(middle), rel=0.05)
    assert budget.event["high"] / budget.event["loss"] == pytest.approx(exp(0.14), rel=1e-3)  # white noise differs little
    assert 0.7 * 60 * 800 < samples < 60 * 800
    assert "80%" in budget.lines["expected"]
    assert speeds


def test_features_by_hand() -> None:
    assert features(1e4, 1e6, 64) == (1, 0, 0)
    assert features(1.6e5, 1e6, 64) == pytest.approx((0.125, 0, 0))
    found = Expected.of(LAW, 0.8, 1e4, 1e6, 64)
    assert (found.loss, found.linear) == (pytest.approx(0.4 * exp(0.5)), 0.8)
    assert found.low < found.loss < found.high
    wider = Expected.of(LAW, 0.8, 1e4, 1e6, 64, error=0.1)  # as large as the spread
    assert log(wider.high / wider.low) == pytest.approx(2**0.5 * log(found.high / found.low))


def test_the_law_that_ships() -> None:
    """More samples, more parameters and smaller batches are expected to help, on slow machines and on fast ones."""
    law = laws()["image"]
    assert 0 < law.spread < 0.5
    for parameters in (0.6e6, 5e6):
        losses = [law.middle(samples, parameters, 64) for samples in np.geomspace(2e3, 1e6, 9)]
        assert all(after < before for before, after in pairwise(losses))
        assert law.middle(1e5, parameters, 16) < losses[-1] + 0.1
    assert exp(law.middle(1e5, 5e6, 64)) < 0.7


def test_a_run_of_minutes_says_all_of_it(squares: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For real: the plan is in the log, what was chosen in config.toml, and the whole takes about as long as it may."""
    monkeypatch.setattr(module, "laws", lambda: {"image": LAW})
    told = list[tuple[str, str]]()

    class Watch:
        def begin(self, *_: object) -> None: ...
        def step(self, *_: object) -> None: ...
        def tell(self, name: str, text: str) -> None:
            told.append((name, text))

    model = train(squares, tmp_path / "run", minutes=0.1, settings=("sampling.steps=2",), observer=Watch())
    config = load_config(tmp_path / "run" / NAME)
    assert config.training.minutes == 0.1
    assert config.training.held_out == 20
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    (budget,) = (line for line in lines if line["event"] == "budget")
    assert budget["minutes"] == 0.1
    assert [name for name, _ in told][:2] == ["plan", "expected"]
    assert model.card["samples_seen"] > 0
    (reached,) = (line for line in lines if line["event"] == "reached")
    assert 0 < reached["loss"] < 3


def test_minutes_that_were_taken_come_back() -> None:
    """A run that resumes has no more time than it had."""
    plan = Plan(batch=16, minutes=10)
    plan.take(120)
    assert Plan(batch=16, minutes=10).restore(json.loads(json.dumps(plan.state()))).minutes == pytest.approx(8)
    old = {key: value for key, value in plan.state().items() if key != "minutes"}
    assert Plan(batch=16, minutes=10).restore(old).minutes == 10
