"""Tuning as a user meets it: trials that can be repeated, stopped, shared and survived, and what is left of them."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import call
from pellucid.core.errors import ConfigError, DataError, DivergenceError, InterruptedRunError, UnsupportedError, UserError
from pellucid.core.random import Keyed
from pellucid.data.pack import Pack
from pellucid.evaluation.held_out import HeldOut
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from pellucid.training.loop import run
from pellucid.training.train import train
from pellucid.tuning.dimension import configured
from pellucid.tuning.recipe import as_recipe
from pellucid.tuning.tried import Tried
from pellucid.tuning.tune import tune

pytest.importorskip("optuna")

FIXED = [
    "network.name=mlp", "network.width=8", "network.depth=1", "training.batch=16", "training.ema=[0.1]", "training.warmup=0",
    "optimiser.name=adamw", "optimiser.betas=[0.9,0.99]", "schedule.name=cosine", "schedule.shift=1", "loss.times.name=mode",
    "denoiser.prediction=edm",
]  # fmt: skip
"""All that is not tuned here."""
LENGTH = 192
RATES = """
[[dimension]]
key = "optimiser.learning_rate"
low = 0.001
high = 0.01
log = true
[[dimension]]
key = "loss.weighting.name"
values = ["none", "edm"]
"""


class Watcher:
    """Keeps what it is told, and may do something when a trial begins."""

    def __init__(self, act: Any = None) -> None:
        self.told: list[tuple[str, str]] = []
        self.act = act

    def begin(self, *_: Any) -> None: ...

    def step(self, *_: Any) -> None: ...

    def tell(self, name: str, text: str) -> None:
        self.told.append((name, text))
        if self.act:
            self.act(name, text)


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two dimensions, so that trials are few and small."""
    path = tmp_path_factory.mktemp("space") / "two.toml"
    path.write_text(RATES)
    return path


def base(data: Path, *settings: str) -> RunConfig:
    return apply_settings(RunConfig(), [f"data.path='{data}'", *settings])


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """96 pictures of 8 x 8, each of one grey and a little noise, so that there is something to learn at once."""
    draws, path = Keyed(0, range(96)), tmp_path_factory.mktemp("greys") / "x.npy"
    greys = 40 + 170 * draws.uniform("grey", 0, (1, 1)) + 10 * draws.normal("noise", 0, (8, 8))
    np.save(path, greys.clamp(0, 255).numpy().astype(np.uint8))
    return path


def tuned(data: Path, out: Path, space: Path | None, trials: int, **more: Any) -> Tried:
    given = {"samples": LENGTH, "settings": FIXED, "observer": Watcher(), **more}
    return tune(data, out, trials=trials, space=space, **given)


@pytest.fixture(scope="module")
def done(pictures: Path, space: Path) -> tuple[Path, Tried, Watcher]:
    out, watcher = pictures.parent / "tuned", Watcher()
    return out, tuned(pictures, out, space, 5, observer=watcher), watcher


def test_trial_0_is_the_default_trained_as_it_would_be_by_itself(
    done: tuple[Path, Tried, Watcher], tmp_path: Path
) -> None:
    """Its loss is that of an ordinary run on the same pack; the trial holds the default's settings."""
    out, tried, _ = done
    default = tried.trials[0]
    assert default.default
    assert default.settings == {"optimiser.learning_rate": 0.001, "loss.weighting.name": "none"} == tried.defaults
    train_pack = out / "data" / "train"
    settings = [*FIXED, "data.size=8", f"training.samples={LENGTH}"]
    model = run(base(train_pack, *settings), tmp_path / "run")
    losses = HeldOut(pack=Pack.open(out / "data" / "held-out"), seed=0)(model)
    assert default.loss == pytest.approx(float(losses.mean()), rel=1e-6)
    assert default.losses == pytest.approx(losses.tolist(), abs=1e-6)
    assert default.samples_seen == LENGTH
    assert list(default.curve) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert default.curve[8] < default.curve[1]


def test_the_recipe_is_the_best_trial(done: tuple[Path, Tried, Watcher], pictures: Path, tmp_path: Path) -> None:
    """`train --recipe` takes it as it is; it says what differs from the defaults, and its loss on a comment."""
    out, tried, _ = done
    best = tried.best
    assert best is not None
    assert best.loss == min(each.loss for each in tried.complete if each.loss is not None)
    text = (out / "best.toml").read_text()
    comments = [line for line in text.splitlines() if line.startswith("#")]
    assert len(comments) == 2
    assert re.search(r"Expected held-out loss after 192 samples: [\d.]+", comments[1])
    assert set(tomllib.loads(text)) <= {"schedule", "network", "denoiser", "loss", "optimiser", "training"}
    config = configured(base(pictures, *FIXED, f"training.samples={LENGTH}"), best.settings if not best.default else {})
    assert as_recipe(load_recipe(out / "best.toml")) == as_recipe(config)
    model = train(pictures, tmp_path / "run", recipe=out / "best.toml", settings=["training.evaluate=false"])
    assert model.card["samples_seen"] == LENGTH
    assert load_recipe(out / "best.toml").optimiser["learning_rate"] == best.settings["optimiser.learning_rate"]


def test_the_report_says_it_all_by_itself(done: tuple[Path, Tried, Watcher]) -> None:
    """A row for each trial, the curves, the picture inside, nothing from elsewhere; folders of trials are gone."""
    out, tried, watcher = done
    html = (out / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"""(src|href)=["'](?!data:)|https?://(?!www\.w3\.org)""", html)
    assert tried.verdict.split(",")[0].replace("'", "&#x27;") in html
    assert html.count('scope="row"') >= len(tried.trials)
    assert ("data:image/png" in html) == bool(tried.importance) == (out / "importance.png").exists()
    assert sum(tried.importance.values()) == pytest.approx(1)
    kept = {"best.toml", "importance.png", "report.html", "study.db", "data"}
    assert {path.name for path in out.iterdir()} == kept
    assert watcher.told[0] == ("plan", "5 trials of 192 samples; those that fall behind end early")
    assert ("trial 0", "the default") in watcher.told


def test_going_on_gives_what_one_call_gives(
    done: tuple[Path, Tried, Watcher], pictures: Path, space: Path, tmp_path: Path
) -> None:
    """Trials depend on their number, the seed and those before; a call for as many as there are does nothing."""
    _, tried, _ = done
    tuned(pictures, tmp_path / "two", space, 2)
    again = tuned(pictures, tmp_path / "two", space, 5)
    for ours, theirs in zip(again.trials, tried.trials, strict=True):
        assert (ours.number, ours.settings) == (theirs.number, theirs.settings)
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-6)
    watcher = Watcher()
    assert len(tuned(pictures, tmp_path / "two", space, 4, observer=watcher).trials) == 5
    assert [name for name, _ in watcher.told] == ["plan", "held out"]
    with pytest.raises(ConfigError, match="begun with samples = 192, not 208: go on with the same, or choose"):
        tuned(pictures, tmp_path / "two", space, 6, samples=LENGTH + 16)


def test_an_interrupted_trial_does_not_count(pictures: Path, space: Path, tmp_path: Path) -> None:
    """The default is then tried again; as many trials are there in the end as were asked for."""
    def stop(name: str, _text: str) -> None:
        if name == "trial 0":
            raise InterruptedRunError("Stopped by SIGINT")

    with pytest.raises(InterruptedRunError):
        tuned(pictures, tmp_path / "out", space, 2, observer=Watcher(stop))
    tried = tuned(pictures, tmp_path / "out", space, 2)
    assert [(each.number, each.default) for each in tried.trials] == [(1, True), (2, False)]
    assert tried.interrupted == 1
    assert "1 interrupted, not counted" in tried.footing


@pytest.mark.parametrize("error", [
    RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError(), DivergenceError("Training met NaN\nmore"),
    ConfigError("no such thing"),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_a_trial_that_fails_is_told_and_survived(
    error: Exception, pictures: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts, with its reason; the others go on. What is wrong with the default is the user's to mend."""
    def failing(config: RunConfig, *rest: Any, **more: Any) -> Any:
        if config.optimiser.get("learning_rate", 0.001) != 0.001:
            raise error
        return run(config, *rest, **more)

    monkeypatch.setattr("pellucid.tuning.worker.run", failing)
    watcher = Watcher()
    tried = tuned(pictures, tmp_path / "out", space, 2, observer=watcher)
    assert [each.state for each in tried.trials] == ["complete", "failed"]
    assert tried.trials[1].reason == (str(error) or "MemoryError")
    assert any(text.startswith("failed: ") and "\n" not in text for _, text in watcher.told)
    assert "Nothing beat the default" in tried.verdict
    monkeypatch.setattr("pellucid.tuning.worker.run", lambda *_, **__: (_ for _ in ()).throw(error))
    if isinstance(error, UserError):
        with pytest.raises(ConfigError, match="no such thing"):
            tuned(pictures, tmp_path / "none", space, 2)
    else:
        tried = tuned(pictures, tmp_path / "none", space, 2)
        assert (tried.best, [each.state for each in tried.trials]) == (None, ["failed", "failed"])
        assert tried.verdict == "No trial has come to its end yet."


def test_what_falls_behind_is_stopped(pictures: Path, tmp_path: Path) -> None:
    """After four that came to their end, one that learns nothing is not trained to its end; the default never is."""
    table = tmp_path / "rates.toml"
    table.write_text("[[dimension]]\nkey = 'optimiser.learning_rate'\nvalues = [0.001, 0.02, 1e-9]\n")
    tried = tuned(pictures, tmp_path / "out", table, 8, settings=[*FIXED, "loss.weighting.name=none"])
    pruned = [each for each in tried.trials if each.state == "pruned"]
    assert pruned
    assert all(each.settings["optimiser.learning_rate"] == 1e-9 and max(each.curve) < 8 for each in pruned)
    assert tried.best is not None
    assert tried.best.settings["optimiser.learning_rate"] == 0.02
    assert "stopped early" in tried.footing


def test_two_workers_share_one_database(pictures: Path, space: Path, tmp_path: Path) -> None:
    """The same command twice at once, from nothing: as many trials as asked for, none twice, the same in the end."""
    flags = [word for setting in FIXED for word in ("--set", setting)]
    words = ["tune", str(pictures), "--trials", "6", "--samples", str(LENGTH), "--space", str(space), *flags]
    program = "import torch; torch.set_num_threads(1); from pellucid.cli import main; main()"
    command = [sys.executable, "-c", program, *words, "--out", str(tmp_path / "out"), "--json"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ended = [(*worker.communicate(timeout=500), worker.returncode) for worker in workers]
    assert [code for *_, code in ended] == [0, 0], ended
    found = [json.loads(out) for out, *_ in ended]
    assert found[0] == found[1]
    assert len(found[0]["trials"]) == 6
    begun = [set(re.findall(r"^(trial \d+)   (?:the default|\w+\.)", told, re.MULTILINE)) for _, told, _ in ended]
    assert all(begun)
    assert not begun[0] & begun[1]


@pytest.mark.parametrize(("url", "message"), [
    ("study.db", "--storage 'study.db' is no address of a database; expected sqlite:///FILE.db or postgresql"),
    ("sqlite:////nowhere/at/all.db", "'sqlite:////nowhere/at/all.db' cannot be opened: unable to open database file"),
    ("oracle+nothing://u:secret@h/d", r"'oracle\+nothing://u:\*\*\*@h/d' needs a driver that is not installed"),
])  # fmt: skip
def test_a_database_that_cannot_be_opened(url: str, message: str, pictures: Path, space: Path, tmp_path: Path) -> None:
    """Why, what is expected, and no password."""
    with pytest.raises(UserError, match=message) as caught:
        tuned(pictures, tmp_path / "out", space, 2, storage=url)
    assert "secret" not in str(caught.value)


def test_what_cannot_be_tuned(pictures: Path, space: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before any trial: data too small, a codec that each trial would make anew, samples without a mean, an empty length."""
    np.save(tmp_path / "few.npy", np.load(pictures)[:39])
    with pytest.raises(DataError, match="39 samples: tuning needs 40 or more"):
        tuned(tmp_path / "few.npy", tmp_path / "out", space, 2)
    odd = (("codec.name=kl", "an autoencoder makes that anew"), ("denoiser.name=adversarial", "of a mean"))
    for setting, message in odd:
        with pytest.raises(UnsupportedError, match=message):
            tuned(pictures, tmp_path / "out", None, 2, settings=[setting])
    (tmp_path / "odd.toml").write_text(RATES.replace("learning_rate", "lerning_rate"))
    with pytest.raises(ConfigError, match=r"'lerning_rate' of optimiser\.adamw: did you mean 'learning_rate'"):
        tuned(pictures, tmp_path / "out", tmp_path / "odd.toml", 2)
    for lengths in ({"samples": None}, {"minutes": 1.0}):
        with pytest.raises(ConfigError, match="How long is a trial"):
            tuned(pictures, tmp_path / "out", space, 2, **lengths)
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UnsupportedError, match=r"Tuning needs optuna: pip install 'pellucid\[tune\]'"):
        tuned(pictures, tmp_path / "out", space, 2)


def test_the_command(
    done: tuple[Path, Tried, Watcher], pictures: Path, space: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a study that is done: the best beside the default, as lines and as JSON."""
    out, tried, _ = done
    flags = " ".join(f"--set {setting}" for setting in FIXED)
    words = f"tune {pictures} --trials 5 --samples {LENGTH} --space {space} --out {out} {flags}"
    code, told, _ = call(f"{words} --quiet", capsys)
    assert code == 0
    assert tried.verdict in told
    assert f"--recipe {out / 'best.toml'} --out run --samples 192" in told
    code, told, _ = call(f"{words} --json --quiet", capsys)
    values = json.loads(told)
    assert tried.best is not None
    assert (values["best"], values["loss"], values["settings"]) == (
        tried.best.number, tried.best.loss, tried.best.settings
    )  # fmt: skip
    assert len(values["trials"]) == 5
