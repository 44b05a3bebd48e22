"""What `--help` prints, and how long it takes."""

import os
import re
import resource
import subprocess

import pytest

from test_cli import COMMANDS, PROGRAM

LONGEST, TRIES, SHARE = 0.6, 3, 1.8
"""Seconds of processor time, and how often they are measured at most. Beside other work all processes take more of it, so
there it may be so many times what importing typer and rich alone takes at that moment: 0.6 on an idle machine.
"""
ALONE = "import typer, typer.rich_utils; from pydantic import Field, TypeAdapter"
HEAVY = "import atexit, sys; atexit.register(lambda: print({'torch', 'numpy'} & {*sys.modules}, file=sys.stderr))\n"


def worked() -> float:
    """Processor time of all processes that were started and have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_is_quick_and_fits(words: list[str]) -> None:
    """It has examples and 80 columns, takes under 0.6 s of processor time, imports neither torch nor NumPy."""
    environment = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
    took: list[float] = []
    while len(took) < TRIES and min(took, default=LONGEST) >= LONGEST:
        before = worked()
        ended = subprocess.run(
            [*PROGRAM[:2], HEAVY + PROGRAM[2], *words], capture_output=True, text=True, check=False, env=environment
        )
        took.append(worked() - before)
        assert ended.returncode == (0 if words else 2)
        assert re.search(r"Examples: *\n   pellucid ", ended.stdout)
        assert ended.stderr == "set()\n"
        assert max(map(len, ended.stdout.splitlines())) <= 80
    if min(took) >= LONGEST:
        before = worked()
        subprocess.run([PROGRAM[0], "-c", ALONE], check=True, env=environment)
        assert min(took) < SHARE * (worked() - before)
