"""Weights & Biases beside TensorBoard: offline for real, and what is asked of the library where it would need a network."""

import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from commands import call
from pellucid.core.errors import ConfigError, UnsupportedError, UserError
from pellucid.training.config import RunConfig
from pellucid.training.journal import Journal
from pellucid.training.tracker import tracking
from pellucid.training.wandb_run import WandbRun

SET = "--set network.name=mlp --set network.width=8 --set training.batch=16 --set training.log_samples=16"


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No key, no mode, no file of keys, and nothing that would be sent."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_PROJECT", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """In the place of the real one."""
    fake = MagicMock()
    fake.errors.Error = type("Error", (Exception,), {})
    fake.Settings.return_value.base_url = "https://api.example.org"
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def test_a_run_without_a_network(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--track wandb` without a key keeps settings and numbers in RUN/wandb; TensorBoard has the same, the run is a run."""
    pytest.importorskip("wandb")
    out = tmp_path / "run"
    code, told, _ = call(f"train {pictures} --out {out} --samples 64 {SET} --track wandb --json", capsys)
    assert code == 0
    assert json.loads(told)["tracked"] == str(out / "wandb")
    (kept,) = out.glob("wandb/offline-run-*/*.wandb")
    content = kept.read_bytes()
    logged = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    losses = [event["loss"] for event in logged if event["event"] == "train"]
    assert len(losses) == 4
    assert all(json.dumps(loss).encode() in content for loss in losses)
    assert all(word in content for word in (b"gradient_norm", b"learning_rate", b'"name":"mlp"'))
    board = EventAccumulator(str(out / "tensorboard"))
    board.Reload()
    assert [event.step for event in board.Scalars("loss")] == [16, 32, 48, 64]


@pytest.mark.parametrize(("name", "environment", "key", "mode"), [
    ("wandb", {}, "", "offline"), ("wandb", {"WANDB_API_KEY": "k"}, "", "online"), ("wandb", {}, "here", "online"),
    ("wandb", {}, "elsewhere", "offline"), ("wandb", {"WANDB_MODE": "offline"}, "here", "offline"),
    ("wandb", {"WANDB_MODE": "online"}, "", "online"), ("wandb-offline", {"WANDB_API_KEY": "k"}, "here", "offline"),
])  # fmt: skip
def test_online_only_with_a_key(
    name: str, environment: dict[str, str], key: str, mode: str, library: MagicMock, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A key in the environment or in the file that `wandb login` writes, for the server at hand; WANDB_MODE decides."""
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    hosts = {"here": "api.example.org", "elsewhere": "api.example.com", "": "x.invalid"}
    (tmp_path / "netrc").write_text(f"machine {hosts[key]} login user password 0123\n")
    start = tracking(name)
    assert start is not None
    start(tmp_path / "run", RunConfig())
    assert library.init.call_args.kwargs["mode"] == mode


def test_a_resumed_run_has_the_same_identity(library: MagicMock, tmp_path: Path) -> None:
    """One run there for each of ours, so curves go on; and each line of the log is one call."""
    for folder in ("one", "one", "two"):
        (tmp_path / folder).mkdir(exist_ok=True)
        journal = Journal(tmp_path / folder, 0, WandbRun(tmp_path / folder, RunConfig(), offline=True))
        journal.write("train", 16, loss=0.5, learning_rate=0.1)
        journal.write("plan", 16, total=32)
        journal.close()
    first, again, other = (each.kwargs["id"] for each in library.init.call_args_list)
    assert first == again != other
    run: Any = library.init.return_value
    assert [each.args[0] for each in run.log.call_args_list] == [{"loss": 0.5, "learning_rate": 0.1, "samples": 16}] * 3
    assert run.finish.call_count == 3
    run.define_metric.assert_called_with("*", step_metric="samples")


def test_what_is_missing_is_told_before_any_work(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The library, by the name of the extra; a tracker that nobody knows, by the nearest that is known."""
    with pytest.raises(ConfigError, match="'wanbd': did you mean 'wandb'"):
        tracking("wanbd")
    assert tracking(None) is None
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UnsupportedError, match=r"pip install 'pellucid\[wandb\]'"):
        tracking("wandb")
    code, told, error = call(f"train {pictures} --out {tmp_path / 'run'} --samples 64 {SET} --track wandb", capsys)
    assert (code, told) == (2, "")
    assert "--track wandb needs wandb: pip install" in error
    assert not (tmp_path / "run").exists()


def test_a_server_that_cannot_be_reached(
    library: MagicMock, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One message with the way out; no run bars the way to the next try."""
    library.init.side_effect = library.errors.Error("timed out")
    out = tmp_path / "run"
    code, _, error = call(f"train {pictures} --out {out} --samples 64 {SET} --track wandb", capsys)
    assert code == 2
    assert "cannot be reached: timed out. --track wandb-offline keeps everything" in error
    assert not (out / "config.toml").exists()
    with pytest.raises(UserError):
        WandbRun(tmp_path / "other", RunConfig(), offline=False)
