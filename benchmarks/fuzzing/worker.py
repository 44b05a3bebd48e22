"""A process that reads case after case of one reader, each under a watch, and answers with what came of it."""

import os
import resource
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from time import monotonic
from types import FrameType
from typing import Any

from fuzzing.case import Case, FindingError, Reader
from fuzzing.mutate import mutated
from fuzzing.watch import Lines, Watch, forget_peak, memory
from pellucid.core.errors import UserError

SECONDS = 10
"""Of a case, at most."""
ROOM = 2 << 30
"""Bytes of memory beside what the process has when it begins."""
KEPT = 2000
"""Cases that are kept as parents of others, at most."""
WORKING = ("in", "temporary")
CAUSE = " | "
"""Between what findings of one cause have in common and the words of one."""


class Hang(BaseException):
    """A case took too long; no reader may catch it."""


@dataclass
class Outcome:
    """Of one case.

    Attributes:
        kind: "read", "refused", or what a finding is: "error", "hang", "memory", "outside", "wrong", "crash".
        detail: a word or the last lines of the traceback; alike for findings of one cause, up to `CAUSE`.
        seconds: that it took.
        peak: bytes of memory beyond what there was before.
        lines: of the package that no case had reached before.
    """

    kind: str
    detail: str = ""
    seconds: float = 0.0
    peak: int = 0
    lines: int = 0

    @property
    def is_finding(self) -> bool:
        return self.kind not in ("read", "refused")


@dataclass
class Bench:
    """Where cases are read.

    Arguments:
        reader: of them.
        folder: that is worked in, and emptied.
        corpus: that new parents are written to; None: none are kept.
        seed: of all randomness.
    """

    reader: Reader
    folder: Path
    corpus: Path | None
    seed: int
    lines: Lines = field(default_factory=lambda: Lines(set()))
    cases: list[Case] = field(default_factory=list)

    def prepare(self) -> None:
        """Read the seeds, so that all is imported, and what was kept before."""
        for name in WORKING:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        tempfile.tempdir = str(self.folder / "temporary")
        os.chdir(self.folder / "in")
        self.cases = self.reader.seeds(self.folder / "in")
        self.suffixes = sorted({case.suffix for case in self.cases})
        kept = sorted(self.corpus.iterdir()) if self.corpus and self.corpus.is_dir() else []
        self.cases += [Case(file.name.partition("~")[2], file.read_bytes()) for file in kept]
        self.watch = Watch(self.folder)
        for case in self.cases:
            with _silence(), suppress(Exception):
                self.reader.read(case, self.folder / "in")  # whatever is imported on the way may do as it likes
        for case in self.cases:
            self.outcome(case)

    def case(self, index: int) -> Case:
        """The case of a number, which depends on the seed and on what was kept before it."""
        rng = Random(f"{self.seed} {index}")
        way, parent = rng.random(), rng.choice(self.cases[-50:] if rng.random() < 0.3 else self.cases)
        found = self.reader.made(rng) if way < 0.3 else self.reader.deeper(parent, rng) if way < 0.65 else None
        return found or mutated(parent, self.cases, self.reader.words, self.suffixes, rng)

    def outcome(self, case: Case) -> Outcome:
        """Read a case."""
        self.lines.new, began = 0, monotonic()
        self.watch.found.clear()
        forget_peak()
        before = memory()
        kind, detail = self._read(case)
        seconds, peak = monotonic() - began, max(0, memory() - before)
        if self.watch.found and not self.reader.writes:
            kind, detail = "outside", self.watch.found[0]
        elif peak > ROOM:
            kind, detail = "memory", f"{peak:,} bytes"
        if seconds > SECONDS and kind in ("read", "refused"):
            kind, detail = "hang", f"{seconds:.0f} s"
        self._tidy()
        return Outcome(kind, detail, round(seconds, 4), peak, self.lines.new)

    def _read(self, case: Case) -> tuple[str, str]:
        try:
            with _alarm(), self.watch.watching(), self.lines.followed(), _silence():
                return "read", self.reader.read(case, self.folder / "in")
        except UserError as error:
            text = str(error)
            return ("refused", type(error).__name__) if text.strip() else ("wrong", "an error without words")
        except Hang:
            return "hang", _where(sys.exc_info()[2])
        except MemoryError as error:
            return "memory", _where(error.__traceback__)
        except FindingError as error:
            return "memory" if str(error).startswith("memory") else "wrong", str(error)
        except BaseException as error:
            return "error", f"{type(error).__name__} {_where(error.__traceback__)}{CAUSE}{str(error)[:200]}"

    def _tidy(self) -> None:
        """Empty what is worked in, but for what the reader furnished itself with."""
        shutil.rmtree(self.folder / "temporary", ignore_errors=True)
        (self.folder / "temporary").mkdir(exist_ok=True)
        os.chdir(self.folder / "in")

    def keep(self, case: Case, index: int) -> None:
        """As a parent of others."""
        if len(self.cases) >= KEPT:
            return
        self.cases.append(case)
        if self.corpus is not None:
            self.corpus.mkdir(parents=True, exist_ok=True)
            suffix = case.suffix if "/" not in case.suffix else ""
            (self.corpus / f"{index:07d}~{suffix}").write_bytes(case.data)


def work(reader: Reader, folder: Path, corpus: Path, seed: int, pipe: Connection) -> None:
    """Answer each number that comes with the outcome of its case; the case lies in `folder`/case meanwhile."""
    bench = Bench(reader, folder, corpus, seed)
    bench.prepare()
    limit = memory("VmSize") + ROOM
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    pipe.send("ready")
    while (index := pipe.recv()) is not None:
        case = bench.case(index)
        (folder / "case").write_bytes(case.suffix.encode() + b"\0" + case.data)
        found = bench.outcome(case)
        if found.lines and not found.is_finding:
            bench.keep(case, index)
        pipe.send(found)


def held(folder: Path) -> Case:
    """The case that a worker was at."""
    suffix, _, data = (folder / "case").read_bytes().partition(b"\0")
    return Case(suffix.decode(), data)


def name_of(case: Case) -> str:
    """Of a file that holds a finding."""
    return f"{sha256(case.data).hexdigest()[:12]}~{case.suffix}"


@contextmanager
def _alarm() -> Iterator[None]:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


@contextmanager
def _silence() -> Iterator[None]:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        yield


def _where(trace: Any) -> str:
    """The last places of a traceback, those in the package rather than others."""
    frames = [frame for frame in traceback.extract_tb(trace) if "fuzzing" not in frame.filename]
    ours = [frame for frame in frames if f"{os.sep}pellucid{os.sep}" in frame.filename][-3:]
    places = [*ours, *([frames[-1]] if frames and frames[-1] not in ours else [])]
    return " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(places))
