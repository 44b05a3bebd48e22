"""The documentation: the site builds without a warning, notebooks run, and every block of code does what it says.

A block marked ```sh or ```python is run, in order, in one folder for its page; how-tos begin in the folder that the first
tutorial leaves. One marked `later` needs an hour, a network or a program that is not everywhere: of its `pellucid` commands
every option has to be there, and its Python has to be Python.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import PIPE

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
FENCE = re.compile(r"^```(sh|python)( later)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FIRST = "tutorials/pictures.md"
TRANSLATIONS = {"journey.zh.md": "journey.md"}
PAGES = sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))
FEWEST = 35
"""Blocks that are run; those that are not are fewer."""


@dataclass(frozen=True)
class Block:
    language: str
    later: bool
    code: str


def blocks(page: str) -> list[Block]:
    found = FENCE.findall((DOCS / page).read_text(encoding="utf-8"))
    return [Block(language, bool(later), code) for language, later, code in found]


Run = Callable[[str, Path], None]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs the blocks of a page in a folder."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(ROOT / "tests" / "pages.py"), str(tmp_path_factory.mktemp("program"))]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, stderr=PIPE, text=True, env=environment) as pages:
        assert pages.stdin
        assert pages.stdout
        lines = pages.stdout

        def run(page: str, folder: Path) -> None:
            if not (folder / "data").exists():
                (folder / "data").symlink_to(ROOT / "data")
            todo = [(block.language, block.code) for block in blocks(page) if not block.later]
            print(json.dumps([str(folder), todo]), file=pages.stdin, flush=True)
            failed = json.loads(lines.readline())
            assert failed is None, f"{page}:\n{failed}"

        yield run
        pages.stdin.close()
        errors = pages.stderr.read() if pages.stderr else ""
    assert not errors


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory, run: Run) -> Path:
    """What the first tutorial leaves."""
    folder = tmp_path_factory.mktemp("digits")
    run(FIRST, folder)
    return folder


RUN = [page for page in PAGES if page not in (FIRST, *TRANSLATIONS) and any(not block.later for block in blocks(page))]


@pytest.mark.parametrize("page", RUN)
def test_blocks_run(page: str, digits: Path, run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "page"
    if page.startswith("howto/"):
        shutil.copytree(digits, folder, symlinks=True)
    else:
        folder.mkdir()
    run(page, folder)


def test_first_tutorial_leaves_what_it_says(digits: Path) -> None:
    """Its blocks ran when the fixture was made."""
    assert {"data.png", "sheet.png", "sixteen.png", "threes", "runs"} <= {path.name for path in digits.iterdir()}
    assert (digits / "runs" / "digits" / "report.html").is_file()


@pytest.mark.parametrize("page", [page for page in PAGES if any(block.later for block in blocks(page))])
def test_blocks_for_later_could_be_run(page: str) -> None:
    for block in (block for block in blocks(page) if block.later):
        if block.language == "python":
            compile(block.code, page, "exec")
        for line in block.code.splitlines() if block.language == "sh" else ():
            check_options(line)


HELP: dict[str, str] = {}
"""What `--help` says, by command."""


def check_options(line: str) -> None:
    """Every option of a `pellucid` command is one."""
    name, *words = shlex.split(line)
    if name == "torchrun":
        assert "pellucid" in words, line
        name, *words = words[words.index("pellucid") :]
    assert name in ("pellucid", "curl"), line
    if name == "curl":
        return
    command = " ".join(words[: 2 if words[0] == "data" else 1])
    if command not in HELP:
        asked = [sys.executable, "-m", "pellucid", *command.split(), "--help"]
        plain = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "200"}
        HELP[command] = subprocess.run(asked, capture_output=True, text=True, check=True, env=plain).stdout
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", HELP[command].partition("Options")[2]))
    assert {word for word in words if re.match(r"--?[a-z]", word)} <= known, line


def test_most_blocks_are_run() -> None:
    """Every fence of a shell or of Python is one of the two kinds."""
    everything = [block for page in PAGES for block in blocks(page)]
    run, later = (sum(block.later == kind for block in everything) for kind in (False, True))
    assert run >= FEWEST
    assert later < run
    texts = [(DOCS / page).read_text(encoding="utf-8") for page in PAGES]
    assert sum(len(re.findall(r"^```(?:sh|bash|console|py)", text, re.MULTILINE)) for text in texts) == len(everything)


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
    site = tmp_path / "site" / "html"
    for notebook in (DOCS / "notebooks").glob("*.ipynb"):
        assert "cell_output" in (site / "docs" / "notebooks" / f"{notebook.stem}.html").read_text(encoding="utf-8")
    assert (site / "index.html").is_file()
