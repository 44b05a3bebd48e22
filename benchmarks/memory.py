"""Memory does not grow with the data: anonymous memory of training on 10,000 and on 100,000 pictures.

    python benchmarks/memory.py --out records/memory.md

Each run is `pellucid train` and then `pellucid evaluate` in a process of their own, from an array of pictures of 28 x 28
with ten labels: reading, packing, training, what is drawn and, as many in both, measured at the end. Its anonymous memory
(RssAnon in /proc/PID/status: what cannot be dropped and read again from a file) is looked at every few milliseconds; the
largest figure counts. Linux only.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

import numpy as np
from resume import machine

from pellucid.evaluation.history import History

COUNTS = (10_000, 100_000)
BAR = 0.05
"""Growth that is allowed, as a share."""
SIDE, LABELS = 28, 10
EVERY = 0.004  # seconds between two looks
MEASURED = 400  # samples; how many training would measure itself depends on the machine's speed
PROCESS = """
import json, sys
from pellucid.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["pellucid", *words]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether training's memory grows with the data.")
    parser.add_argument("--samples", type=int, default=6400, help="trained on")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of training")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    began = perf_counter()
    peaks, measured = zip(*(peak(count, asked.samples, asked.set) for count in COUNTS), strict=True)
    record = as_markdown(asked, peaks, measured, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if growth(peaks) <= BAR else 1)


def peak(count: int, samples: int, settings: Sequence[str]) -> tuple[float, int]:
    """MiB of anonymous memory that training on `count` random pictures needs at most; samples measured at its end."""
    with TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        np.save(Path(folder) / "x.npy", rng.integers(0, 256, (count, SIDE, SIDE), dtype=np.uint8))
        np.save(Path(folder) / "y.npy", np.arange(count) % LABELS)
        train = ["train", f"{folder}/x.npy", "--out", f"{folder}/run", "--samples", str(samples), "--quiet"]
        train += [word for setting in (*settings, "training.evaluate=false") for word in ("--set", setting)]
        commands = train, ["evaluate", f"{folder}/run", "-n", str(MEASURED), "--features", "fixed", "--quiet"]
        process = subprocess.Popen([sys.executable, "-c", PROCESS, json.dumps(commands)], stdout=subprocess.DEVNULL)
        most = 0.0
        while process.poll() is None:
            most = max(most, anonymous(process.pid))
            sleep(EVERY)
        if process.returncode:
            raise SystemExit(f"training ended with exit code {process.returncode}")
        events = History.read(Path(folder) / "run" / "log.jsonl").kind("evaluation")
        return most, events[-1]["n"] if events else 0


def anonymous(pid: int) -> float:
    """MiB of anonymous memory of a process now; 0 when it has just ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon:")), 0.0)


def growth(peaks: Sequence[float]) -> float:
    return peaks[-1] / peaks[0] - 1


def as_markdown(asked: argparse.Namespace, peaks: Sequence[float], measured: Sequence[int], seconds: float) -> str:
    out = "" if asked.out is None else f" --out {asked.out.name if asked.out.is_absolute() else asked.out.as_posix()}"
    more = "" if asked.samples == 6400 else f" --samples {asked.samples}"
    more += "".join(f" --set {setting}" for setting in asked.set)
    return "\n".join([
        "# Memory and the size of the data",
        "",
        f"Within {BAR:.0%} from {COUNTS[0]:,} to {COUNTS[-1]:,} pictures: **{'yes' if growth(peaks) <= BAR else 'NO'}** "
        f"({growth(peaks):+.1%}). Most anonymous memory of `pellucid train`, from reading to the report:",
        "",
        f"| pictures of {SIDE} x {SIDE} | bytes of pixels | samples measured at the end | anonymous memory |",
        "|---|---|---|---|",
        *(
            f"| {n:,} | {n * SIDE**2 / 2**20:.0f} MiB | {drawn:,} | {most:.0f} MiB |"
            for n, drawn, most in zip(COUNTS, measured, peaks, strict=True)
        ),
        "",
        f"- command: `python benchmarks/memory.py{more}{out}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- threads: {os.environ.get('OMP_NUM_THREADS', 'as torch chooses')}",
        f"- run: `pellucid train x.npy --samples {asked.samples}`, default network and optimiser" if not asked.set else
        f"- run: `pellucid train x.npy --samples {asked.samples}` with the settings above",
        f"- time: {seconds:.0f} s",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
