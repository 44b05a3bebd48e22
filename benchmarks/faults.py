"""What is injected, how often, and what came of it: kills, full disks, folders that vanish, clocks that jump, damaged files.

    faults.py run --out FOLDER [--kills 200] [--damage 60] [--seed 0]      goes on where it stopped
    faults.py record FOLDER --out records/faults.md

Each case starts whole `pellucid` commands on Fashion-MNIST and injects one fault. It is right if nothing but work since the
last checkpoint is lost: the same command, given again, ends with what an undisturbed one made, to the last bit, and nothing
that lies there meanwhile is half a file. Disks are full as file systems in memory of few kilobytes are, which takes root.
"""

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from time import perf_counter

from resume import machine
from sides.injected import CLOCKS, FOLDERS, clock, damaged, folder_gone, full, killed, second
from sides.jobs import JOBS, Job, undisturbed

FINE = "right"


def main() -> None:
    parser = argparse.ArgumentParser(description="Inject faults.")
    commands = parser.add_subparsers(dest="command", required=True)
    running, recording = commands.add_parser("run"), commands.add_parser("record")
    running.add_argument("--kills", type=int, default=200, help="of all commands together")
    running.add_argument("--damage", type=int, default=60, help="checkpoints and models")
    running.add_argument("--full", type=int, default=8, help="sizes of disks, of each command")
    running.add_argument("--seed", type=int, default=0)
    running.add_argument("--out", type=Path, required=True)
    recording.add_argument("folder", type=Path)
    recording.add_argument("--out", type=Path, default=Path("records/faults.md"))
    asked = parser.parse_args()
    if asked.command == "record":
        asked.out.write_text("\n".join([*record(asked.folder / "cases.jsonl"), ""]), encoding="utf-8")
        return
    asked.out.mkdir(parents=True, exist_ok=True)
    log = asked.out / "cases.jsonl"
    done = Counter((row["fault"], row["job"]) for row in read(log))
    for job in JOBS:
        undisturbed(job, asked.out / "undisturbed" / job.name)
    for fault, job, number, inject in cases(asked):
        if number < done[fault, job.name]:
            continue
        began, rng = perf_counter(), Random(f"{asked.seed} {fault} {job.name} {number}")
        with TemporaryDirectory(dir=asked.out) as place:
            outcome = inject(job, rng, Path(place))
        row = {"fault": fault, "job": job.name, "outcome": outcome, "seconds": perf_counter() - began}
        with log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(*row.values(), flush=True)


def cases(asked: argparse.Namespace) -> Iterator[tuple[str, Job, int, Callable[[Job, Random, Path], str]]]:
    """Fault, command, number and who injects it."""
    train = JOBS[0]
    for number in range(asked.full):
        for job in JOBS[:-1]:
            share = (number + 0.5) / asked.full
            yield "a disk that is full", job, number, partial(full, share)
    for number in range(asked.kills // len(JOBS)):
        for job in JOBS:
            yield "SIGKILL", job, number, killed
    for number in range(asked.damage):
        yield "a damaged checkpoint", train, number, damaged
    for name in FOLDERS:
        yield name, train, 0, partial(folder_gone, name)
    for name in CLOCKS:
        yield f"a clock that jumps, {name}", train, 0, partial(clock, name)
    yield "a second process on the same run", train, 0, second


def read(log: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.is_file() else []


def record(log: Path) -> Iterator[str]:
    rows = read(log)
    bad = [row for row in rows if not row["outcome"].startswith(FINE)]
    yield "# Faults\n"
    yield (f"Of {len(rows)} faults injected, {len(rows) - len(bad)} came out right: **{'yes' if not bad else 'NO'}**. Right "
           "means that the same command, given again, ends with what an undisturbed one makes, to the last bit, and that "
           "nothing half-written ever lay there.\n")  # fmt: skip
    yield "| injected | command | times | what came of it |\n|---|---|---|---|"
    for fault, job in dict.fromkeys((row["fault"], row["job"]) for row in rows):
        came = Counter(row["outcome"] for row in rows if (row["fault"], row["job"]) == (fault, job))
        told = "; ".join(f"{outcome} ({count})" for outcome, count in came.most_common())
        yield f"| {fault} | {job} | {came.total()} | {told} |"
    yield f"\n- commands: in the docstring of benchmarks/faults.py\n- date: {datetime.now(UTC):%Y-%m-%d}"
    yield f"- time: {sum(float(row['seconds']) for row in rows) / 60:.0f} min"
    yield from machine()


if __name__ == "__main__":
    main()
