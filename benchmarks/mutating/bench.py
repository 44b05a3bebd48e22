"""Where a mutant is tried: a copy of the package, and a fork of a process that has imported what tests import.

A fork costs no import of torch, which is most of a short test run. Only processor time is limited, so that a busy machine
kills no mutant.
"""

import os
import resource
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from traceback import format_exc

import numpy  # noqa: F401  for the forks
import pytest
import torch  # noqa: F401

from .draw import Mutant

COPIED, LINKED = ("pellucid", "tests", "pyproject.toml"), ("benchmarks", "data", "docs", "README.md")
NEVER = 1800
"""Seconds by the clock after which a silent run is ended."""


@dataclass(frozen=True)
class Outcome:
    """`result` is "killed", "hangs" (killed too), or "survived"; `by` is the first test that failed."""

    result: str
    by: str
    seconds: float


class Bench:
    """A copy of the project in a folder."""

    def __init__(self, root: Path, place: Path):
        self.place = place
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(root / name, place / name)
        for name in LINKED:
            (place / name).symlink_to(root / name)

    def tried(self, mutant: Mutant, tests: Sequence[str], limit: float) -> Outcome:
        """Under the mutant, which is taken back afterwards."""
        path = self.place / mutant.file
        source = path.read_bytes()
        path.write_bytes(mutant.applied(source))
        try:
            return self.run(tests, limit)
        finally:
            path.write_bytes(source)

    def run(self, tests: Sequence[str], limit: float) -> Outcome:
        """The tests up to the first failure, in a fork of at most so many seconds of processor time."""
        began, log = monotonic(), self.place / "log.txt"
        child = os.fork()
        if child == 0:
            try:
                os._exit(self._child(tests, limit, log))
            except BaseException:  # a fork never goes on with its parent's work
                log.write_text(format_exc(), encoding="utf-8")
                os._exit(70)
        while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0):
            sleep(0.05)
            if monotonic() - began > NEVER:
                os.killpg(child, signal.SIGKILL)
        code = os.waitstatus_to_exitcode(ended[1])
        told = log.read_text(encoding="utf-8", errors="replace")
        by = next((line.partition(" - ")[0] for line in told.splitlines() if line.startswith(("FAILED ", "ERROR "))), "")
        result = "survived" if code == 0 else "hangs" if code < 0 else "killed"
        return Outcome(result, by, round(monotonic() - began, 1))

    def _child(self, tests: Sequence[str], limit: float, log: Path) -> int:
        os.setpgid(0, 0)  # not a new session, which might have another priority
        written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(written, 1)
        os.dup2(written, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))
        os.chdir(self.place)
        os.environ["PYTHONPATH"] = str(self.place)
        sys.dont_write_bytecode = True
        sys.path = [str(self.place), *(path for path in sys.path if not (Path(path) / "pellucid").is_dir())]
        for name in [name for name in sys.modules if name.partition(".")[0] == "pellucid"]:
            del sys.modules[name]
        options = ["-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider", "-p", "no:randomly", "-p", "no:xdist"]
        try:
            return int(pytest.main([*options, "--durations=0", *tests]))
        finally:
            sys.stdout.flush()
