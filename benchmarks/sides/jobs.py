"""Commands that faults are injected into, and what they leave when nothing disturbs them."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from urllib.request import urlopen

from resume import digest as weights

ROOT = Path(__file__).parents[2]
DATA, MODEL = ROOT / "data" / "fashion-mnist", "emoji"
SMALL = ("network.name=mlp", "network.width=32", "sampling.steps=4", "training.evaluate=false")
RUN = ("training.checkpoint_samples=128", "training.log_samples=64", "training.precision=float32", *SMALL)
READY = 120.0
"""Seconds within which a server has to answer."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command.

    Attributes:
        words: the command line, of what writes to a folder.
        made: what it made, as text that is the same whenever the same was made; None: nothing yet.
        seconds: what it takes undisturbed, filled in by `undisturbed`.
    """

    name: str
    words: Callable[[Path], list[str]]
    made: Callable[[Path], str | None]

    def start(self, folder: Path, *, quiet: bool = True) -> "subprocess.Popen[str]":
        words = [sys.executable, "-m", "pellucid", *self.words(folder), *(["--quiet"] if quiet else [])]
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


KNOWN: dict[str, tuple[str, float, int]] = {}
"""By name of a job: what it makes undisturbed, seconds and bytes."""


def undisturbed(job: Job, folder: Path) -> None:
    """Find what it makes, once."""
    kept = folder.with_suffix(".json")
    if not kept.is_file():
        began = perf_counter()
        if job.name == "serve":
            process, ready = job.start(folder), wait_for_server(folder)
            seconds = perf_counter() - began
            process.terminate()
            process.communicate()
            assert ready, "the server does not start"
        else:
            told = job.start(folder).communicate()[0]
            seconds = perf_counter() - began
            assert job.made(folder) is not None, told
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps([job.made(folder), seconds, size]), encoding="utf-8")
    made, seconds, size = json.loads(kept.read_text(encoding="utf-8"))
    KNOWN[job.name] = made, seconds, size


def digest(paths: list[Path]) -> str | None:
    """SHA-256 of contents; None if there are none."""
    found = sha256()
    for path in paths:
        found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest() if paths else None


def port_of(folder: Path) -> int:
    """A port of its own for a folder, below those that are given to clients."""
    return 20_000 + int(sha256(str(folder).encode()).hexdigest(), 16) % 12_000


def wait_for_server(folder: Path) -> bool:
    """Whether it answers in time."""
    began = perf_counter()
    while perf_counter() - began < READY:
        try:
            with urlopen(f"http://127.0.0.1:{port_of(folder)}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            continue
    return False


def _settings(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


def _trials(folder: Path) -> str | None:
    """How many trials have an end, and whether a recipe came of them."""
    if not (folder / "best.toml").is_file():
        return None
    import optuna

    study = optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder / 'study.db'}")
    ended = [trial for trial in study.trials if trial.state.name in ("COMPLETE", "PRUNED")]
    return f"{min(len(ended), 3)} trials"


def _weights(folder: Path) -> str | None:
    return weights(folder) if (folder / "model.safetensors").is_file() else None


JOBS = (
    Job(name="train", made=_weights, words=lambda out: [
        "train", str(DATA), "--out", str(out), "--samples", "1280", *_settings(*RUN), "--resume"]),
    Job(name="data pack", made=lambda out: digest(sorted(filter(Path.is_file, out.glob("*")))), words=lambda out: [
        "data", "pack", str(DATA), "--out", str(out)]),
    Job(name="export", made=lambda out: digest(sorted(out.glob("*.onnx"))), words=lambda out: [
        "export", MODEL, "--out", str(out)]),
    Job(name="tune", made=_trials, words=lambda out: [
        "tune", str(DATA), "--trials", "3", "--samples", "640", "--out", str(out), *_settings(*SMALL[:2])]),
    Job(name="serve", made=lambda _out: "", words=lambda out: ["serve", MODEL, "--port", str(port_of(out))]),
)  # fmt: skip
