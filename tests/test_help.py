"""What `--help` prints, and how long it takes."""

import os
import re
import resource
import subprocess

import pytest

from test_cli import COMMANDS, PROGRAM

LONGEST, TRIES, SHARE = 0.5, 10, 1.8
"""Seconds of processor time, and how often they are measured at most. Beside other work all processes take more of it, so
there it may be so many times what importing typer and rich alone takes just after.
"""
ALONE = "import typer, typer.rich_utils; from pydantic import Field, TypeAdapter"
SLOW = {"torch", "numpy", "PIL", "scipy", "av", "soundfile", "torchvision", "diffusers", "transformers", "fastapi"}
HEAVY = f"import atexit, sys; atexit.register(lambda: print({SLOW} & {{*sys.modules}}, file=sys.stderr))\n"
ENVIRONMENT = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}


def worked(*command: str, **variables: str) -> float:
    """Processor time that a command takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, capture_output=True, check=True, env=ENVIRONMENT | variables)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("words", [[], ["--help"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_fits_and_imports_nothing_slow(words: list[str]) -> None:
    """It has examples and 80 columns."""
    command = [*PROGRAM[:2], HEAVY + PROGRAM[2], *words]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)
    assert ended.returncode == (0 if words else 2)
    assert re.search(r"Examples: *\n   pellucid ", ended.stdout)
    assert ended.stderr == "set()\n"
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("variables", [
    {"PELLUCID_LANG": "en"}, {"PELLUCID_LANG": "zh"},
    {"_PELLUCID_COMPLETE": "complete_bash", "COMP_WORDS": "pellucid train DATA --set training.", "COMP_CWORD": "4"},
], ids=["English", "Chinese", "Tab"])  # fmt: skip
def test_help_is_quick(variables: dict[str, str]) -> None:
    """The longest of them takes under 0.5 s of processor time, and so does the longest answer to the Tab key."""
    for _ in range(TRIES):
        took = worked(*PROGRAM, "sample", "--help", **variables)
        if took < LONGEST or took < SHARE * worked(PROGRAM[0], "-c", ALONE):
            return
    pytest.fail(f"{took:.2f} s, in each of {TRIES} tries too long")
