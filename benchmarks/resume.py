"""Resuming is exact: a run on Fashion-MNIST killed at random moments against one that nobody disturbed.

    python benchmarks/resume.py --kills 20 --out records/resume.md

Each kill is a SIGKILL to a `pellucid train` process; the next process is the same command with `--resume`. Every fifth kill
falls into the start of a process, the others at random numbers of samples. At the end all weights are compared bit by bit.
"""

import argparse
import json
import os
import platform
import random
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parent.parent
STARTUP, STEP = 3.0, 0.15
"""Seconds: of a process's start, and of a step, within which a moment is drawn."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a training run at random moments, resume it, compare the weights.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    began = perf_counter()
    with TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        finish(start(whole, asked.samples))
        tell(f"undisturbed: {perf_counter() - began:.0f} s")
        moments = kill_often(killed, asked.samples, asked.kills, random.Random(asked.seed))
        finish(start(killed, asked.samples))
        hashes = digest(whole), digest(killed)
        losses = train_losses(whole) == train_losses(killed)
    record = as_markdown(asked, moments, hashes, losses, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if hashes[0] == hashes[1] and losses else 1)


def settings(samples: int) -> list[str]:
    """Of the run: the defaults, with a log line for each step and twenty checkpoints."""
    every = max(64, samples // 20 // 64 * 64)
    return ["--samples", str(samples), "--set", "training.log_samples=64", "--set", f"training.checkpoint_samples={every}"]


def start(out: Path, samples: int) -> subprocess.Popen[bytes]:
    """`pellucid train --resume`, which begins where there is nothing to go on with."""
    words = ["train", str(ROOT / "data" / "fashion-mnist"), "--out", str(out), *settings(samples), "--resume", "--quiet"]
    return subprocess.Popen([sys.executable, "-c", "from pellucid.cli import main; main()", *words])


def finish(process: subprocess.Popen[bytes]) -> None:
    if process.wait() != 0:
        raise SystemExit(f"training ended with exit code {process.returncode}")


def kill_often(out: Path, samples: int, kills: int, rng: random.Random) -> list[str]:
    """Kill that many processes, each at its moment; returns what they had done by then."""
    targets = sorted(rng.randrange(0, samples - 64) for _ in range(kills))
    told = []
    for number, target in enumerate(targets):
        early = number % 5 == 0
        old = inode(out)
        process = start(out, samples)
        if early:
            sleep(rng.uniform(0, STARTUP))
        else:
            while process.poll() is None and (inode(out) == old or seen(out) < target):
                sleep(0.005)
            sleep(rng.uniform(0, STEP))
        process.kill()
        if process.wait() != -signal.SIGKILL:
            raise SystemExit(f"a process ended by itself with exit code {process.returncode}; give it more --samples")
        told.append(f"{seen(out):,}" if inode(out) != old else "start-up")
        tell(f"kill {number + 1} of {kills}: {told[-1]}")
    return told


def inode(out: Path) -> int:
    """Of the log, which every process that resumes writes anew."""
    path = out / "log.jsonl"
    return path.stat().st_ino if path.exists() else 0


def train_losses(out: Path) -> list[tuple[int, float]]:
    """(samples, loss) of all whole lines of the log."""
    path = out / "log.jsonl"
    lines = path.read_text(encoding="utf-8").split("\n")[:-1] if path.exists() else []
    return [(event["samples"], event["loss"]) for event in map(json.loads, lines) if event["event"] == "train"]


def seen(out: Path) -> int:
    return max((samples for samples, _ in train_losses(out)), default=0)


def digest(out: Path) -> str:
    """SHA-256 over names, shapes and bytes of all weights in the model file."""
    found = sha256()
    for name, value in sorted(load_file(out / "model.safetensors").items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode() + value.contiguous().numpy().tobytes())
    return found.hexdigest()


def machine() -> list[str]:
    """Lines of a record: hardware and versions."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    processor = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return [
        f"- hardware: {processor}, {len(os.sched_getaffinity(0))} cores, {memory:.0f} GiB, CPU only",
        f"- versions: Python {platform.python_version()}, PyTorch {torch.__version__}, NumPy {np.__version__}",
    ]


def as_markdown(
    asked: argparse.Namespace, moments: list[str], hashes: tuple[str, str], losses: bool, seconds: float
) -> str:
    equal, same = ("yes" if found else "NO" for found in (hashes[0] == hashes[1], losses))
    return "\n".join([
        "# Resuming after SIGKILL",
        "",
        f"Weights bitwise equal after {len(moments)} kills: **{equal}**. Logged losses equal: **{same}**.",
        "",
        f"- command: `python benchmarks/resume.py {shlex.join(words(asked))}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- run: `pellucid train data/fashion-mnist {' '.join(settings(asked.samples))}`, default network and optimiser",
        f"- kills at samples seen: {', '.join(moments)}",
        f"- weights undisturbed, SHA-256: `{hashes[0]}`",
        f"- weights killed and resumed: `{hashes[1]}`",
        f"- time: {seconds:.0f} s, both runs and all starts",
        "",
    ])  # fmt: skip


def words(asked: argparse.Namespace) -> list[str]:
    out = [] if asked.out is None else ["--out", asked.out.as_posix() if not asked.out.is_absolute() else asked.out.name]
    more = [] if asked.samples == 6400 else ["--samples", str(asked.samples)]
    return ["--kills", str(asked.kills), *more, *([] if asked.seed == 0 else ["--seed", str(asked.seed)]), *out]


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
