"""Help in Chinese: all of it, in lines that fit, for those whose locale says so."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from unicodedata import east_asian_width

import pytest
from rich import _wrap
from typer import rich_utils
from typer.main import get_command

from commands import call
from pellucid.cli import main, tab
from pellucid.cli.app import app
from pellucid.cli.language import TABLE, TITLES, VARIABLES, chinese, reads_chinese, translate
from test_cli import COMMANDS, PROGRAM
from test_help import ENVIRONMENT, HEAVY

LINES = ["", *COMMANDS, "data", "data show", "data pack", "data fetch"]
NAMES = {name for registry in (*tab.PARTS.values(), tab.sets) for name in registry}
MISSING = "has no Chinese: add it to pellucid/cli/zh.toml"


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is changed in other libraries is changed back."""
    for name in TITLES:
        monkeypatch.setattr(rich_utils, name, getattr(rich_utils, name))
    monkeypatch.setattr(_wrap, "words", _wrap.words)


@pytest.fixture
def asked() -> set[str]:
    """Every text that help consists of."""
    texts: list[str] = []

    def note(text: str) -> str:
        texts.append(text)
        return text

    translate(get_command(app), note)
    return set(texts)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str, str], str]:
    """The help of a command in a language, 80 columns wide."""
    monkeypatch.setenv("COLUMNS", "80")

    def run(words: str, language: str) -> str:
        monkeypatch.setenv("PELLUCID_LANG", language)
        code, out, err = call(f"{words} --help", capsys)
        assert (code, err) == (0, "")
        return re.sub(r"\x1b\[[\d;]*m", "", out)

    return run


def width(text: str) -> int:
    """In columns of a terminal."""
    return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text)


def test_all_of_it(asked: set[str]) -> None:
    """Each command, argument and option; what names alone stand for needs no words."""
    say = chinese()
    assert len(asked) > 150
    for text in asked:
        if text and not set(re.findall("[A-Za-z]\\w*", text)) <= NAMES:
            assert say(text) != text, f"'{text}' {MISSING}"
            assert re.search("[一-鿿]", say(text)), f"'{text}' {MISSING}"


def test_nothing_else(asked: set[str]) -> None:
    """A text that changed in English is not left over in the table."""
    known = asked | {text.partition(": ")[0] for text in asked}
    left = [text for text in tomllib.loads(TABLE.read_text(encoding="utf-8")) if text not in known]
    assert not left, f"no help says this any longer, remove it from pellucid/cli/zh.toml: {left}"


def test_paragraphs_are_broken_by_hand() -> None:
    """As those of English are, within the margins that typer leaves."""
    for value in tomllib.loads(TABLE.read_text(encoding="utf-8")).values():
        assert "\n" not in value or max(map(width, value.splitlines())) <= 78, value


@pytest.mark.parametrize("words", LINES, ids=lambda words: words or "pellucid")
def test_it_fits_and_has_the_same_examples(words: str, told: Callable[[str, str], str]) -> None:
    english, text = told(words, "en"), told(words, "zh")
    assert [line for line in text.splitlines() if width(line) > 80] == []
    assert re.findall("\n   pellucid .*", text) == re.findall("\n   pellucid .*", english)
    assert all(line.startswith("   pellucid ") for line in text.partition("示例：")[2].partition("╭")[0].splitlines()[1:-1])
    assert text.count("…") == english.count("…")  # nothing more is cut
    assert not re.search("Usage|Options|Arguments|Commands|Examples|default:|required|Show this", text)
    assert re.search(r"--help .* 显示此帮助并退出。", text)
    assert not re.search("│ +[，。、；：！？）]", text), "a line begins with a sign that ends a clause"


@pytest.mark.parametrize(("values", "expected"), [
    ({}, False), ({"LANG": "zh_CN.UTF-8"}, True), ({"LANG": "en_GB.UTF-8"}, False), ({"LC_ALL": "zh_TW"}, True),
    ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US"}, False), ({"LANG": "de_DE", "LC_MESSAGES": "zh_CN"}, True),
    ({"LANG": "zh_CN", "LC_ALL": "C"}, False), ({"LANG": "zh_CN", "LC_ALL": ""}, True),
    ({"LANG": "zh_CN", "PELLUCID_LANG": "en"}, False), ({"PELLUCID_LANG": "ZH", "LC_ALL": "C"}, True),
])  # fmt: skip
def test_who_reads_it(values: dict[str, str], expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    assert reads_chinese() is expected


def test_as_a_command_of_its_own() -> None:
    """Nothing slow is imported; without arguments too; onto a stdout that has no such letters."""
    command = [*PROGRAM[:2], HEAVY + PROGRAM[2]]
    for encoding, beginning in (("utf-8", "用法： pellucid"), ("ascii", r"\u7528\u6cd5")):
        environment = {**ENVIRONMENT, "PELLUCID_LANG": "zh", "PYTHONIOENCODING": encoding}
        ended = subprocess.run(command, capture_output=True, check=False, env=environment)
        assert (ended.returncode, ended.stderr.split()) == (2, [b"set()"])
        assert ended.stdout.decode(encoding).strip().startswith(beginning)


def test_completion_speaks_it_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["pellucid"])
    for name, value in (("_PELLUCID_COMPLETE", "complete_fish"), ("_TYPER_COMPLETE_ARGS", "pellucid tra"),
                        ("_TYPER_COMPLETE_FISH_ACTION", "get-args"), ("PELLUCID_LANG", "zh")):  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        main()
    assert capsys.readouterr().out == "train\t用你的数据训练模型。\n"
