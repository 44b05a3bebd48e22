"""Several processes that train one model: the same weights, data and noise apart, killed ranks, other numbers of them."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from pellucid.core.errors import ConfigError
from pellucid.evaluation.evaluate import evaluate
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import assemble
from pellucid.training.prepare import prepare
from pellucid.training.ranks import Ranks
from pellucid.training.train import train

SETTINGS = ("network.name=mlp", "network.width=32", "training.precision=float64", "sampling.steps=2", "training.batch=32",
            "training.evaluate=false", "training.warmup=64", "training.checkpoint_samples=320", "training.log_samples=32")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "pellucid", "train")
SINGLE = {**os.environ, "OMP_NUM_THREADS": "1"}
ALL = 3200
"""Samples: 100 steps."""


@pytest.fixture(scope="module")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("squares") / "squares.npy"
    np.save(place, np.random.default_rng(0).integers(0, 255, (200, 8, 8, 1)).astype(np.uint8))
    return place


@pytest.fixture(scope="module")
def alone(squares: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of one process."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    train(squares, folder, samples=ALL, settings=SETTINGS)
    return folder


@pytest.fixture(scope="module")
def whole(alone: Path) -> dict[str, torch.Tensor]:
    return load_file(alone / "model.safetensors")


def started(squares: Path, folder: Path, *length: str) -> "subprocess.Popen[str]":
    words = [*TORCHRUN, str(squares), "--out", str(folder), *(length or ("--samples", str(ALL)))]
    words += [word for setting in SETTINGS for word in ("--set", setting)]
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return subprocess.Popen([sys.executable, *words], stdout=pipe, stderr=both, text=True, env=SINGLE)


def farthest(folder: Path, whole: dict[str, torch.Tensor]) -> float:
    found = load_file(folder / "model.safetensors")
    assert found.keys() == whole.keys()
    return max(float((found[name].double() - whole[name].double()).abs().max()) for name in whole)


def test_two_ranks_reach_the_weights_of_one_process(squares: Path, whole: dict[str, torch.Tensor], tmp_path: Path) -> None:
    """After 100 steps, to 1e-9; one of them writes and speaks."""
    process = started(squares, tmp_path / "run")
    told = process.communicate(timeout=300)[0]
    assert process.returncode == 0, told
    assert farthest(tmp_path / "run", whole) < 1e-9
    assert len(re.findall(r"^done ", told, re.MULTILINE)) == 1
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == 2


def test_ranks_that_part_the_model_reach_the_same_weights(
    squares: Path, whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """After 100 steps, to 1e-9; of each checkpoint every rank writes its rows."""
    folder = tmp_path / "run"
    process = started(squares, folder, "--samples", str(ALL), "--set", "training.sharded=true")
    told = process.communicate(timeout=300)[0]
    assert process.returncode == 0, told
    assert farthest(folder, whole) < 1e-9
    files = sorted(file.name for file in (folder / "checkpoints").iterdir())
    assert files == [f"{seen:012d}{part}.safetensors" for seen in (ALL - 320, ALL) for part in (".0-of-2", ".1-of-2", "")]
    weights = load_file(folder / "checkpoints" / files[-1])
    assert sum(value.numel() for name, value in weights.items() if name.startswith("weights.")) < 0.6 * sum(
        value.numel() for value in whole.values()
    )


def test_ranks_that_share_sampling_draw_what_one_draws(squares: Path, alone: Path, tmp_path: Path) -> None:
    """Bit for bit, with batches that do not come out even; and its figures."""
    model = Model.load(alone)
    words = [*TORCHRUN[:-1], "sample", str(alone), "-n", "40", "--batch", "16", "--out", str(tmp_path / "all.npy")]
    told = subprocess.run([sys.executable, *words, "--json"], capture_output=True, text=True, timeout=120, env=SINGLE)
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["n"] == 40
    np.testing.assert_array_equal(np.load(tmp_path / "all.npy"), model.modality.encode(model.sample(40, batch=16).data))
    words = [*TORCHRUN[:-1], "evaluate", str(alone), "--data", str(squares), "-n", "100", "--json"]
    told = subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=120, env=SINGLE)
    assert told.returncode == 0, told.stderr
    figures = evaluate(model, squares, n=100).metrics
    found = json.loads(told.stdout)["metrics"]
    assert {name: found[name]["value"] for name in figures} == {name: one.value for name, one in figures.items()}


def test_minutes_are_those_of_the_first_rank(squares: Path, tmp_path: Path) -> None:
    """It alone measures and plans, and what that takes is its own; the others end with it."""
    process = started(squares, tmp_path / "run", "--minutes", "0.1")
    told = process.communicate(timeout=120)[0]
    assert process.returncode == 0, told
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    plans = [event for event in log if event["event"] == "plan"]
    assert plans[0]["minutes"] < 0.1
    assert [event["samples"] for event in log if event["event"] == "end"] == [plans[-1]["total"]]


@pytest.mark.parametrize("sharded", [False, True])
def test_a_killed_rank_ends_the_job_by_name_and_others_go_on(
    sharded: bool, squares: Path, whole: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    """Within a minute of the kill, with no traceback of the other; one process, or four, resume what two began."""
    folder = tmp_path / "run"
    process = started(squares, folder, "--samples", str(ALL), "--set", f"training.sharded={str(sharded).lower()}")
    while not list(folder.glob("checkpoints/*.safetensors")):
        assert process.poll() is None
        sleep(0.01)
    os.kill(rank_of(process.pid, 1), signal.SIGKILL)
    killed_at = monotonic()
    told = process.communicate(timeout=120)[0]
    assert monotonic() - killed_at < 60
    assert process.returncode != 0
    assert re.search(r"rank +: 1 ", told)
    assert "-9" in told
    assert not (folder / "model.safetensors").exists()
    if sharded:
        words = [word.replace("2", "4") for word in TORCHRUN]
        found = subprocess.run([sys.executable, *words, "--out", str(folder), "--resume"], capture_output=True, text=True,
                               timeout=300, env=SINGLE)  # fmt: skip
        assert found.returncode == 0, found.stderr
    else:
        train(None, folder, resume=True)
    assert farthest(folder, whole) < 1e-9


def rank_of(parent: int, rank: int) -> int:
    """The process of that rank among the children of torchrun."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            own = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if own == parent and f"RANK={rank}" in (place / "environ").read_text().split("\0"):
                return int(place.name)
        except OSError:
            continue
    raise AssertionError("no such process")


@pytest.mark.parametrize("size", [1, 2, 4])
def test_data_and_noise_of_ranks_are_those_of_one_process_apart(size: int, squares: Path, tmp_path: Path) -> None:
    """What all ranks see in a step, one after the other, is the batch; nothing of it comes twice."""
    config = apply_settings(RunConfig(), [f"data.path={squares}", "training.samples=64", *SETTINGS])
    prepared = prepare(config, tmp_path / "data")
    batches = assemble(config, prepared)[2]
    parts = [batches(*Ranks(rank, size).share(96, 32)) for rank in range(size)]
    for part, at in zip(parts, range(0, 32, 32 // size), strict=True):
        assert len(part.ids) == 32 // size
        torch.testing.assert_close(part.eps, batches(96, 32).eps[at : at + 32 // size], rtol=0, atol=0)
        torch.testing.assert_close(part.t, batches(96, 32).t[at : at + 32 // size], rtol=0, atol=0)
    assert len(set(np.concatenate([part.ids for part in parts]).tolist())) == 32
    noises = torch.cat([part.eps for part in parts]).flatten(1)
    assert len(noises.unique(dim=0)) == 32


def test_what_several_ranks_cannot_do_is_refused() -> None:
    """A batch that cannot be parted, stages before the denoiser's, times by losses."""
    config, three = RunConfig(), Ranks(0, 3)
    with pytest.raises(ConfigError, match="cannot be parted among 3 ranks"):
        three.check(config, stages=False, profile=False)
    with pytest.raises(ConfigError, match="not what goes before it"):
        Ranks(0, 2).check(config, stages=True, profile=False)
    with pytest.raises(ConfigError, match="of one process, not of 2 ranks"):
        Ranks(0, 2).check(config, stages=False, profile=True)
    Ranks().check(config, stages=True, profile=True)
