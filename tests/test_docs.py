"""The documentation: the site builds without a warning, notebooks run, and every block of code does what it says.

A block marked ```sh or ```python is run, in order, in one folder for its page; how-tos begin in the folder that the first
tutorial leaves. One marked `later` needs an hour, a network or a program that is not everywhere: of its `pellucid` commands
every option has to be there, and its Python has to be Python.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(sh|python)( later)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = "tutorials/pictures.md"
TRANSLATIONS = {"journey.zh.md": "journey.md"}
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
INTERPRETERS = {"sh": ("bash", "-euo", "pipefail", "-c"), "python": (sys.executable, "-c")}
SHORTEST = 40
"""Blocks that are run, and those that are not are fewer."""


@dataclass(frozen=True)
class Block:
    language: str
    later: bool
    code: str


def blocks(page: str) -> list[Block]:
    found = FENCE.findall((DOCS / page).read_text(encoding="utf-8"))
    return [Block(language, bool(later), code) for language, later, code in found]


def run_page(page: str, folder: Path, program: Path) -> None:
    environment = {**os.environ, "PATH": f"{program}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    if not (folder / "data").exists():
        (folder / "data").symlink_to(ROOT / "data")
    for block in blocks(page):
        if not block.later:
            command = [*INTERPRETERS[block.language], block.code]
            ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
            assert ended.returncode == 0, f"{page}:\n{block.code}\n{ended.stdout}\n{ended.stderr}"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `pellucid` in it, which is this checkout's."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "pellucid").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m pellucid "$@"\n')
    (folder / "pellucid").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, program: Path) -> Path:
    """What the first tutorial leaves."""
    folder = tmp_path_factory.mktemp("digits")
    run_page(FIRST, folder, program)
    return folder


@pytest.mark.parametrize("page", [page for page in PAGES if page not in TRANSLATIONS and any(not b.later for b in blocks(page))])
def test_blocks_run(page: str, digits: Path, program: Path, tmp_path: Path) -> None:
    """Page by page; the first tutorial has run when the fixture is made."""
    folder = tmp_path / "page"
    if page.startswith("howto/"):
        shutil.copytree(digits, folder, symlinks=True)
    else:
        folder.mkdir()
    if page != FIRST:
        run_page(page, folder, program)
    assert {path.name for path in folder.iterdir()} - {"data"} or page == FIRST


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.later for block in blocks(page))])
def test_blocks_for_later_could_be_run(page: str, program: Path) -> None:
    for block in (block for block in blocks(page) if block.later):
        if block.language == "python":
            compile(block.code, page, "exec")
        for line in block.code.splitlines() if block.language == "sh" else ():
            check_options(line, program)


HELP: dict[str, str] = {}
"""What `--help` says, by command."""


def check_options(line: str, program: Path) -> None:
    """Every option of a `pellucid` command is one."""
    name, *words = shlex.split(line)
    assert name in ("pellucid", "curl"), line
    if name == "curl":
        return
    command = " ".join(words[: 2 if words[0] == "data" else 1])
    if command not in HELP:
        asked = [str(program / "pellucid"), *command.split(), "--help"]
        plain = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
        HELP[command] = subprocess.run(asked, capture_output=True, text=True, check=True, env=plain).stdout
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", HELP[command].partition("Options")[2]))
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, line


def test_most_blocks_are_run() -> None:
    """Every fence of a shell or of Python is one of the two kinds."""
    everything = [block for page in PAGES for block in blocks(page)]
    run, later = (sum(block.later == kind for block in everything) for kind in (False, True))
    assert run >= SHORTEST
    assert later < run
    opened = [line for page in PAGES for line in (DOCS / page).read_text(encoding="utf-8").splitlines() if line[:5] == "```sh"
              or line[:9] == "```python" or line[:10] == "```console"]  # fmt: skip
    assert len(opened) == len(everything)


@pytest.mark.parametrize("translation", TRANSLATIONS)
def test_translations_have_the_same_code(translation: str) -> None:
    assert blocks(translation) == blocks(TRANSLATIONS[translation])


def test_site_builds_without_warnings_and_notebooks_run(tmp_path: Path) -> None:
    """The notebooks are executed by the build, which fails where a cell does."""
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-c", str(DOCS), "-d", str(tmp_path / "trees"),
               str(ROOT), str(tmp_path / "site" / "html")]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    for name in ("from-noise-to-picture", "your-own-data"):
        assert "cell_output" in (tmp_path / "site" / "html" / "docs" / "notebooks" / f"{name}.html").read_text(encoding="utf-8")
    assert (tmp_path / "site" / "html" / "index.html").is_file()
