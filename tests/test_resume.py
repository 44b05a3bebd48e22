"""Resuming after SIGKILL, SIGTERM and SIGINT is exact to the bit; a damaged checkpoint gives way to the one before."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pellucid.cli import main
from pellucid.core.errors import ConfigError, DataError, InterruptedRunError
from pellucid.data.pack import Pack
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState, checkpoints
from pellucid.training.train import train

SEED = 20261124
"""Of the moments at which runs are killed."""
SAMPLES = 1600
SETTINGS = [
    "network.channels=[8,16]", "training.batch=16", "training.log_samples=16", "training.checkpoint_samples=160",
    "training.warmup=320", "training.weak=0.3",
]  # fmt: skip
QUICK = ("network.name=mlp", "network.width=16", "network.depth=2", "training.batch=16", "training.checkpoint_samples=64",
         "training.samples=320", "training.warmup=64", "training.log_samples=16")  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """As the processes below have: a sum's last bit may depend on how many threads share it."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run that nobody disturbs."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "run"
    train(pictures, out, samples=SAMPLES, settings=SETTINGS)
    return out


@pytest.fixture(scope="module")
def stopped(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, stopped by SIGTERM after 560 samples: checkpoints after 480 and 560."""
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(InterruptedRunError):
        train(pictures, out, samples=SAMPLES, settings=SETTINGS, observer=Watch(stop_at=560))
    return out


@dataclass(eq=False)
class Watch:
    """An observer that signals its own process after so many samples."""

    stop_at: int = -1
    start: Callable[[TrainingState], None] = lambda _state: None

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        self.state = state
        self.start(state)

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if state.seen == self.stop_at:
            os.kill(os.getpid(), signal.SIGTERM)


def command(pictures: Path, out: Path) -> list[str]:
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    return ["train", str(pictures), "--out", str(out), "--samples", str(SAMPLES), *settings, "--resume"]


def start(pictures: Path, out: Path) -> subprocess.Popen[str]:
    """`pellucid train --resume`, which begins where nothing is there to go on with."""
    program = "from pellucid.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, *command(pictures, out)], env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    """Until it holds, as long as the process lives."""
    deadline = monotonic() + 60
    while process.poll() is None and not condition():
        assert monotonic() < deadline
        sleep(0.002)


def events(out: Path, kind: str) -> list[dict[str, Any]]:
    """Whole lines of the log, of one kind."""
    path = out / "log.jsonl"
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def seen(out: Path) -> int:
    return max((event["samples"] for event in events(out, "train")), default=0)


def newest(out: Path) -> int:
    """Samples seen by the newest checkpoint."""
    return max((int(path.stem) for path in checkpoints(out / "checkpoints")), default=0)


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert value.dtype == other[name].dtype
        assert torch.equal(value, other[name]), name


def assert_same_run(out: Path, whole: Path) -> None:
    """Weights of the model, everything in the last checkpoint, and the logged course of training."""
    for file in ("model.safetensors", f"checkpoints/{SAMPLES:012d}.safetensors"):
        assert_same_bits(load_file(out / file), load_file(whole / file))
    cards = [{k: v for k, v in Model.load(folder).card.items() if k != "minutes"} for folder in (out, whole)]
    assert cards[0] == cards[1]
    told = [
        [(e["samples"], e["loss"], e["gradient_norm"], e["learning_rate"]) for e in events(folder, "train")]
        for folder in (out, whole)
    ]
    assert told[0] == told[1]
    assert len(told[0]) == SAMPLES // 16


# ---------------------------------------------------------------------------------------------------- other processes


def test_killed_six_times_the_weights_are_the_same(pictures: Path, whole: Path, tmp_path: Path) -> None:
    """SIGKILL while packing, at three random moments, after a checkpoint and while one is written: no bit differs."""
    rng, out = random.Random(SEED), tmp_path / "run"
    first, second, third = (rng.randrange(*third) for third in ((16, 320), (480, 640), (1040, 1200)))
    already = 0

    def saving() -> bool:
        caught = newest(out) > already and any((out / "checkpoints").glob(".tmp-*"))
        return caught or newest(out) > already + 320  # it is quick: some are missed

    moments: list[tuple[str, Callable[[], bool]]] = [
        ("packing", out.exists),
        (f"{first} samples", lambda: seen(out) >= first),
        ("a checkpoint", lambda: newest(out) > already),
        (f"{second} samples", lambda: seen(out) >= second),
        ("half a checkpoint", saving),
        (f"{third} samples", lambda: seen(out) >= third),
    ]
    for name, condition in moments:
        already = newest(out)
        process = start(pictures, out)
        wait(process, condition)
        if "samples" in name:
            sleep(rng.uniform(0, 0.02))
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL, name
        assert not (out / "model.safetensors").exists()
    process = start(pictures, out)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert re.search(r"resumed   after [\d,]+ samples", told)
    assert_same_run(out, whole)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_signals_save_and_say_how_to_go_on(number: signal.Signals, pictures: Path, whole: Path, tmp_path: Path) -> None:
    """Exit code 130, one sentence, a checkpoint of that very moment; resumed, no bit differs."""
    out, moment = tmp_path / "run", random.Random(SEED + number).randrange(100, 1100)
    process = start(pictures, out)
    wait(process, lambda: seen(out) >= moment)
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "Traceback" not in told
    message = re.search(rf"error: Stopped by {number.name} after ([\d,]+) samples; everything is saved\. .*--resume", told)
    assert message, told
    assert moment <= newest(out) == int(message.group(1).replace(",", "")) < SAMPLES
    assert not (out / "model.safetensors").exists()
    train(pictures, out, samples=SAMPLES, settings=SETTINGS, resume=True)
    assert_same_run(out, whole)


# ---------------------------------------------------------------------------------------------------- torn files


def ended(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int | str | None:
    """The exit code of the command line, in this process."""
    monkeypatch.setattr(sys, "argv", ["pellucid", *words])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def torn(content: bytes, how: str) -> bytes:
    if how == "a bit":
        return content[:-1000] + bytes([content[-1000] ^ 1]) + content[-999:]
    if how == "a bit of the header":
        place = content.index(b'\\"step\\"') + 10
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    return content[: int(how)]


@pytest.mark.parametrize("how", ["0", "8", "1000", "-1", "a bit", "a bit of the header", "another"])
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_serves(
    how: str, pictures: Path, whole: Path, stopped: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """It says so, and no bit differs in the end."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    before, newest = checkpoints(out / "checkpoints")[-2:]
    newest.write_bytes(before.read_bytes() if how == "another" else torn(newest.read_bytes(), how))
    assert ended(command(pictures, out), monkeypatch) in (0, None)
    told = capsys.readouterr().err
    assert "Traceback" not in told
    assert f"{newest.name}' is damaged" in "".join(told.split("\n"))
    assert f"going on from {before.name}" in " ".join(told.split())
    assert (out / "checkpoints" / f"{newest.name}.damaged").is_file()
    assert_same_run(out, whole)


def test_where_no_checkpoint_is_whole_nothing_is_touched(
    pictures: Path, stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2, the file, what to do and no traceback."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    for path in checkpoints(out / "checkpoints"):
        path.write_bytes(path.read_bytes()[:1000])
    shutil.copytree(out, tmp_path / "before")
    assert ended(command(pictures, out), monkeypatch) == 2
    assert re.search(r"(?s)error: The checkpoint.*No checkpoint is whole: delete", capsys.readouterr().err)
    assert not subprocess.run(["diff", "-r", out, tmp_path / "before"], check=False).returncode


def test_what_a_killed_process_left_half_written_is_not_read(
    pictures: Path, whole: Path, stopped: Path, tmp_path: Path
) -> None:
    """Temporary files are no checkpoints, and a torn last line of the log is dropped."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    (out / "checkpoints" / ".tmp-0123456789ab.safetensors").write_bytes(b"half of")
    (out / ".tmp-0123456789ab.safetensors").write_bytes(b"half of")
    with (out / "log.jsonl").open("a") as log:
        log.write('{"event": "train", "samples": 5')
    train(pictures, out, samples=SAMPLES, settings=SETTINGS, resume=True)
    assert_same_run(out, whole)


def test_what_a_killed_process_left_is_cleared_away(pictures: Path, tmp_path: Path) -> None:
    """They are as large as the run's own files."""
    config = configured(pictures)
    with pytest.raises(InterruptedRunError):
        run(config, tmp_path, observer=Watch(stop_at=160))
    (tmp_path / "checkpoints" / ".tmp-0123456789ab.safetensors").write_bytes(b"half of")
    run(config, tmp_path, resume=True)
    assert not list(tmp_path.rglob(".tmp-*"))


# ------------------------------------------------------------------------------------------------- every kind of state


def configured(data: Path, *more: str) -> RunConfig:
    return apply_settings(RunConfig(), [f"data.path={data}", *QUICK, *more])


@pytest.mark.parametrize("settings", [
    ("optimiser.name=adamw", "optimiser.weight_decay=0.1"), ("optimiser.name=adam",), ("optimiser.name=muon",),
    ("optimiser.name=rmsprop", "optimiser.momentum=0.9"), ("training.precision=float64", "training.micro_batch=4"),
    ("loss.weighting.name=learned", "training.ema=[0.05,0.2]"), ("training.ema=[]", "training.precision=bfloat16"),
    ("schedule.name=additive", "schedule.steps=10", "process.name=additive", "process.noise_kind=uniform"),
], ids=" ".join)  # fmt: skip
def test_all_that_training_remembers_comes_back(settings: tuple[str, ...], pictures: Path, tmp_path: Path) -> None:
    """Weights, the loss's own, moments, averages and counters are the same bits after two interruptions."""
    config, ends = configured(pictures, *settings), []
    for name, stops in (("whole", []), ("parts", [112, 208])):
        for stop in stops:
            with pytest.raises(InterruptedRunError, match=f"after {stop} samples"):
                run(config, tmp_path / name, resume=stop > 112, observer=Watch(stop_at=stop))
            assert newest(tmp_path / name) == stop
        watch = Watch()
        run(config, tmp_path / name, resume=bool(stops), observer=watch)
        ends.append(watch.state)
    assert (ends[0].seen, ends[0].step) == (ends[1].seen, ends[1].step) == (320, 20)
    assert_same_bits(ends[0].tensors(), ends[1].tensors())
    assert_same_bits(load_file(tmp_path / "whole/model.safetensors"), load_file(tmp_path / "parts/model.safetensors"))


def test_a_plan_by_minutes_comes_back(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Legs, time used and progress go on where they were, and the minutes are kept in all."""
    now = [0.0]

    def clock() -> float:
        now[0] += 0.02
        return now[0]

    monkeypatch.setattr("pellucid.training.steps.monotonic", clock)
    config = configured(pictures, "training.minutes=0.1").model_copy(deep=True)
    config.training.samples = None
    first, plans = Watch(stop_at=1600), []
    with pytest.raises(InterruptedRunError):
        run(config, tmp_path, observer=first)
    again = Watch(start=lambda state: plans.append((state.plan.state(), state.plan.progress(state.seen))))
    run(config, tmp_path, resume=True, observer=again)
    before = first.state.plan
    ((saved, progress),) = plans
    assert [tuple(leg) for leg in saved["legs"]] == before.legs
    assert (saved["elapsed"], progress) == (before.elapsed, before.progress(1600))
    assert 0 < progress < 1
    assert 0.9 * 6 < again.state.plan.elapsed < 1.1 * 6
    assert again.state.seen == again.state.plan.total


def test_a_finished_run_resumes_to_the_same_model(pictures: Path, tmp_path: Path) -> None:
    """Killed after training but before the model was saved: it is made from the last checkpoint."""
    run(configured(pictures), tmp_path)
    model = load_file(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").unlink()
    run(configured(pictures), tmp_path, resume=True)
    assert_same_bits(load_file(tmp_path / "model.safetensors"), model)


def test_the_log_does_not_show_where_a_run_was_stopped(pictures: Path, tmp_path: Path) -> None:
    """Lines come at the same samples, with the same mean loss, when checkpoints fall between them."""
    config = configured(pictures, "training.log_samples=96")
    run(config, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        run(config, tmp_path / "parts", observer=Watch(stop_at=112))
    run(config, tmp_path / "parts", resume=True)
    told = [[(e["samples"], e["loss"]) for e in events(tmp_path / name, "train")] for name in ("whole", "parts")]
    assert told[0] == told[1]


# ---------------------------------------------------------------------------------------------------- what is refused


def test_resuming_with_something_else_is_refused(pictures: Path, stopped: Path, tmp_path: Path) -> None:
    """Another setting, another data set, another run in the same folder: each by name, nothing of the run touched."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    before = load_file(checkpoints(out / "checkpoints")[-1])
    with pytest.raises(ConfigError, match=r"optimiser\.learning_rate is None, not 0\.5"):
        train(pictures, out, settings=["optimiser.learning_rate=0.5"], resume=True)
    with pytest.raises(ConfigError, match="already holds a run: add --resume"):
        train(pictures, out, samples=SAMPLES, settings=SETTINGS)
    np.save(tmp_path / "other.npy", np.random.default_rng(1).integers(0, 256, (96, 8, 8), dtype=np.uint8))
    np.save(tmp_path / "other_labels.npy", np.arange(96) % 3)
    with pytest.raises(DataError, match="is not the data that this run was started with"):
        train(tmp_path / "other.npy", out, resume=True)
    assert sorted(path.name for path in out.glob("data*")) == ["data"]
    assert Pack.open(out / "data").content == Pack.open(stopped / "data").content
    assert_same_bits(load_file(checkpoints(out / "checkpoints")[-1]), before)


def test_data_may_have_moved(pictures: Path, whole: Path, stopped: Path, tmp_path: Path) -> None:
    """The same data under another name is the same run."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    shutil.copy(pictures, tmp_path / "moved.npy")
    shutil.copy(pictures.with_name("y.npy"), tmp_path / "moved_labels.npy")
    train(tmp_path / "moved.npy", out, resume=True)
    assert_same_run(out, whole)


def test_the_source_may_be_gone(whole: Path, stopped: Path, tmp_path: Path) -> None:
    """What was packed of it is in the run's folder."""
    out = tmp_path / "run"
    shutil.copytree(stopped, out)
    train(tmp_path / "nowhere.npy", out, resume=True)
    assert_same_run(out, whole)
