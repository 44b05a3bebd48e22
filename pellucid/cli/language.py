"""Help in English or Chinese, whichever PELLUCID_LANG or the locale asks for; the Chinese is in the table zh.toml."""

import inspect
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import typer

VARIABLES = ("PELLUCID_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
"""The first that is set decides."""
TABLE = Path(__file__).with_name("zh.toml")
TITLES = (
    "ARGUMENTS_PANEL_TITLE", "OPTIONS_PANEL_TITLE", "COMMANDS_PANEL_TITLE", "DEFAULT_STRING", "ENVVAR_STRING",
    "REQUIRED_LONG_STRING",
)  # fmt: skip
"""Typer's own words, by their names in its `rich_utils`."""
USAGE, EXAMPLES = "Usage: ", "Examples:"
OPENING, CLOSING, WIDE = "（《“", "，。、；：！？）》”", "\u2e80-\u9fff\uff00-\uffef"
WORD = re.compile(rf"\s*(?:[{OPENING}]*(?:[^\s{WIDE}]+|[{WIDE}])[{CLOSING}]*)\s*")
"""What a line is not broken within: a Chinese character or a word of letters, with the signs that belong to it."""

Say = Callable[[str], str]
"""From a text in English, its lines joined, to the same in another language."""


def reads_chinese() -> bool:
    """Whether that is the reader's language."""
    values = (os.environ.get(name) for name in VARIABLES)
    return next(filter(None, values), "").lower().startswith("zh")


def chinese() -> Say:
    """As the table has it; of a text that ends in names, such as "One of: unet, mlp.", what stands before them."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))

    def say(text: str) -> str:
        lead, _, names = text.partition(": ")
        return table.get(text) or (f"{table[lead]}：{names.removesuffix('.')}。" if lead in table else text)

    return say


def translate(root: Any, say: Say) -> None:
    """Have a command, and all below it, say in another language what `--help` tells, examples apart."""
    from rich import _wrap
    from typer import rich_utils

    _wrap.words = _words
    for name in TITLES:
        setattr(rich_utils, name, say(getattr(rich_utils, name)))
    _translate(root, say, None)


def _translate(command: Any, say: Say, parent: typer.Context | None) -> None:
    context = typer.Context(command, parent=parent, **command.context_settings)
    command.help = "\n\n".join(_paragraph(text, say) for text in inspect.cleandoc(command.help or "").split("\n\n"))
    command.options_metavar = say(command.options_metavar)
    usage, title = command.get_usage, say(USAGE)
    command.get_usage = lambda ctx: usage(ctx).replace(USAGE, title, 1)
    for parameter in command.get_params(context):
        parameter.help = say(parameter.help or "")
        if isinstance(parameter.show_default, str):
            parameter.show_default = say(parameter.show_default)
    if below := getattr(command, "commands", {}):
        command.subcommand_metavar = say(command.subcommand_metavar)
        for other in below.values():
            _translate(other, say, context)


def _words(text: str) -> Iterator[tuple[int, int, str]]:
    """For rich, which breaks lines at spaces alone, of which Chinese has few, and cuts those that a space makes too wide."""
    for word in WORD.finditer(text):
        yield *word.span(), word[0].replace(" ", "_")


def _paragraph(text: str, say: Say) -> str:
    lead, lines = text[: len(EXAMPLES)], text[len(EXAMPLES) :]
    return say(lead) + lines if lead == EXAMPLES else say(" ".join(text.split()))
