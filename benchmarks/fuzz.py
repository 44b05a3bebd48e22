"""Every reader against bytes that nobody meant: what is read, what is refused, and what must not happen.

    python benchmarks/fuzz.py run --cases 100000 --out FOLDER
    python benchmarks/fuzz.py record FOLDER --out records/fuzz.md
    python benchmarks/fuzz.py again FOLDER/READER/findings/FILE

Cases are real files that were changed, and some made from nothing; one that reaches new lines of the package is changed
further. Each is read in a process with 10 s, 2 GiB of memory beside what imports take, and no right to write anywhere but
in its own folder, to run a program or to connect. Right is a result, or an error that the user is meant to see: `UserError`,
exit code 2, a status below 500. All else is a finding. `run` goes on where it stopped, and `--cases` is of all readers.
"""

import argparse
import json
import multiprocessing
import shlex
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from fuzzing.case import Case
from fuzzing.readers import READERS
from fuzzing.worker import CAUSE, SECONDS, Bench, Outcome, held, name_of, work
from resume import machine

from pellucid.core.files import atomic_write

LATE, STARTUP = 3 * SECONDS, 300
"""Seconds after which a process that is silent is ended: the alarm cannot ring in a library that never returns."""
SAVED = 50
"""Cases after which the count is written down."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Fuzz every reader.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--cases", type=int, default=100_000, help="of all readers together")
    run.add_argument("--out", type=Path, required=True)
    run.add_argument("--readers", default="", help=f"some of {','.join(READERS)}; all unless given")
    run.add_argument("--seed", type=int, default=0)
    run.add_argument("--jobs", type=int, default=1, help="readers at a time")
    run.add_argument("--minutes", type=float, default=None, help="after which to stop, to go on another time")
    record = commands.add_parser("record")
    record.add_argument("folder", type=Path)
    record.add_argument("--out", type=Path, default=None)
    commands.add_parser("again").add_argument("files", type=Path, nargs="+")
    asked = parser.parse_args()
    if asked.command == "run":
        sys.exit(run_all(asked))
    sys.exit(again(asked.files) if asked.command == "again" else told(asked.folder, asked.out))


@dataclass
class Count:
    """Of one reader, as it is written down."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    findings: dict[str, list[str]] = field(default_factory=dict)
    seconds: float = 0.0
    slowest: float = 0.0
    peak: int = 0
    lines: int = 0
    kept: int = 0

    @classmethod
    def read(cls, file: Path) -> "Count":
        if not file.is_file():
            return cls()
        facts = json.loads(file.read_text(encoding="utf-8"))
        return cls(**{**facts, "kinds": Counter(facts["kinds"])})

    def write(self, file: Path) -> None:
        with atomic_write(file) as temporary:
            temporary.write_text(json.dumps(vars(self), indent=1), encoding="utf-8")

    def add(self, found: Outcome, case: Case, folder: Path) -> None:
        """A case more; one that is a finding is saved, up to three of a cause."""
        self.cases += 1
        self.kinds[found.kind] += 1
        self.slowest, self.peak = max(self.slowest, found.seconds), max(self.peak, found.peak)
        self.lines += found.lines
        self.kept += bool(found.lines) and not found.is_finding
        if found.is_finding:
            files = self.findings.setdefault(f"{found.kind}: {found.detail.partition(CAUSE)[0]}", [])
            if len(files) < 3:
                (folder / "findings").mkdir(parents=True, exist_ok=True)
                files.append(name_of(case))
                (folder / "findings" / files[-1].replace("/", "_")).write_bytes(case.data)


def run_all(asked: argparse.Namespace) -> int:
    """1 if there are findings."""
    names = [name for name in asked.readers.split(",") if name] or list(READERS)
    each = -(-asked.cases // len(names))
    until = monotonic() + 60 * asked.minutes if asked.minutes else float("inf")
    asked.out.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(asked.jobs) as pool:
        counts = list(pool.map(lambda name: run_one(name, each, asked.out / name, asked.seed, until), names))
    return int(any(count.findings for count in counts))


def run_one(name: str, cases: int, folder: Path, seed: int, until: float) -> Count:
    """Cases of one reader up to that number; a process that dies is followed by another."""
    folder.mkdir(parents=True, exist_ok=True)
    count, began = Count.read(folder / "count.json"), monotonic()
    before = count.seconds
    with TemporaryDirectory() as place:
        process: BaseProcess | None = None
        while count.cases < cases and monotonic() < until:
            if process is None:
                process, pipe = start(name, Path(place), folder / "corpus", seed)
            pipe.send(count.cases)
            found = answer(pipe, LATE)
            if found is None:
                process.kill()
                process.join()
                kind = "hang" if process.exitcode == -9 else "crash"
                found, process = Outcome(kind, f"the process ended with {process.exitcode}"), None
            count.add(found, held(Path(place)), folder)
            count.seconds = round(before + monotonic() - began, 1)
            if count.cases % SAVED == 0 or found.is_finding:
                count.write(folder / "count.json")
        if process is not None:
            pipe.send(None)
            process.join()
    count.write(folder / "count.json")
    print(f"{name}: {count.cases:,} cases, {dict(count.kinds)}, {len(count.findings)} findings", file=sys.stderr, flush=True)
    return count


def start(name: str, place: Path, corpus: Path, seed: int) -> tuple[BaseProcess, Connection]:
    """A process that waits for numbers."""
    context = multiprocessing.get_context("spawn")
    pipe, other = context.Pipe()
    process = context.Process(target=work_on, args=(name, place, corpus.absolute(), seed, other), daemon=True)
    process.start()
    other.close()
    if answer(pipe, STARTUP) != "ready":
        raise SystemExit(f"the reader '{name}' does not start")
    return process, pipe


def work_on(name: str, place: Path, corpus: Path, seed: int, pipe: Connection) -> None:
    work(READERS[name](), place, corpus, seed, pipe)


def answer(pipe: Connection, seconds: float) -> Any:
    """What a process says; None when it is silent for so long, or dead."""
    try:
        return pipe.recv() if pipe.poll(seconds) else None
    except (EOFError, OSError):
        return None


def again(files: list[Path]) -> int:
    """Read findings once more, with their errors; 1 if one is still a finding."""
    still = 0
    for file in files:
        with TemporaryDirectory() as place:
            bench = Bench(READERS[file.absolute().parent.parent.name](), Path(place), None, 0)
            whole = file.absolute()
            bench.prepare()
            found = bench.outcome(Case(whole.name.partition("~")[2], whole.read_bytes()))
        still += found.is_finding
        print(f"{file}: {found.kind}: {found.detail} ({found.seconds:.1f} s)")
    return int(bool(still))


def told(folder: Path, out: Path | None) -> int:
    """The record, as Markdown; 1 if there are findings."""
    counts = {name: Count.read(folder / name / "count.json") for name in READERS if (folder / name / "count.json").is_file()}
    found = as_markdown(counts)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(found, encoding="utf-8")
    print(found)
    return int(any(count.findings for count in counts.values()))


def as_markdown(counts: dict[str, Count]) -> str:
    whole, wrong = sum(count.cases for count in counts.values()), sum(len(count.findings) for count in counts.values())
    rows = [
        f"| {name} | {count.cases:,} | {count.kinds['read']:,} | {count.kinds['refused']:,} | {len(count.findings)} | "
        f"{count.slowest:.1f} | {count.peak / 2**20:.0f} | {count.lines:,} | {count.kept:,} |"
        for name, count in counts.items()
    ]
    causes = [f"- {name}: {cause}" for name, count in counts.items() for cause in count.findings]
    command = shlex.join(["python", "benchmarks/fuzz.py", "run", "--cases", str(whole), "--out", "fuzzed"])
    return "\n".join([
        "# Bad input",
        "",
        f"{whole:,} cases of {len(counts)} readers: **{wrong} findings**. A finding is an error that no user is meant to "
        f"see, more than {SECONDS} s, more than 2 GiB, a write outside of the folder that is worked in, a program run, a "
        "name unpickled.",
        "",
        f"- command: `{command}`, then `python benchmarks/fuzz.py record fuzzed --out records/fuzz.md`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {sum(count.seconds for count in counts.values()) / 60:.0f} min",
        "",
        "Read: something came of it (of commands and requests: an answer, whatever it says). Refused: by a `UserError`. "
        "Lines: of the package, reached after the sound files were read. Kept: cases that reached some, changed further.",
        "",
        "| reader | cases | read | refused | findings | slowest, s | most memory, MiB | lines | kept |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *rows,
        *(["", "## Findings", "", *causes] if causes else []),
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    main()
