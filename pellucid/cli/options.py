"""Options that every command shares, and what they do."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from pellucid.cli import tab
from pellucid.core.errors import ConfigError, UserError, nearest


def _seed(value: int | None) -> int | None:
    if value is not None and not 0 <= value < 2**64:
        raise ConfigError(f"--seed {value} is out of range: expected a whole number from 0 to 2^64 - 1")
    return value


FLAG = " "  # a switch takes no value, so none is named in --help
ModelPlace = Annotated[
    Path, typer.Argument(autocompletion=tab.model, help="A run folder or a model file.", show_default=False)
]
Json = Annotated[
    bool, typer.Option("--json", metavar=FLAG, help="One JSON object on stdout; everything else goes to stderr.")
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", callback=_seed, help="Same seed, same result; 0 unless given.")
]
Device = Annotated[
    str,
    typer.Option(
        "--device", metavar="NAME", autocompletion=tab.among(("auto", "cpu", "cuda", "mps")), help="auto, cpu, cuda or mps."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", metavar=FLAG, help="Print nothing but errors and the result.")]
Setting = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", autocompletion=tab.setting, help="Any setting; may be repeated."),
]


def choose_device(name: str) -> str:
    """A device that is there.

    Raises:
        ConfigError: it is not.
    """
    import torch

    counts = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if name == "auto":
        return "cuda" if counts["cuda"] else "cpu"
    kind, _, index = name.partition(":")
    if kind not in counts:
        raise ConfigError(f"Unknown device '{name}': {nearest(kind, ['auto', *counts])}")
    if index and not index.isdecimal():
        raise ConfigError(f"Device '{name}': expected a number after the colon, such as {kind}:0")
    if int(index or 0) >= counts[kind]:
        here = ", ".join(device for device, count in counts.items() if count)
        raise ConfigError(f"Device '{name}' is not available here: expected one of auto, {here}")
    return name


def result(lines: Mapping[str, str], values: Mapping[str, Any], as_json: bool, quiet: bool) -> None:
    """The command's result: on stdout `values` as one JSON object if that was asked for, else `lines` for people.

    Beside JSON the lines go to stderr.
    """
    width = max(8, *map(len, lines))
    text = "\n".join(plain(f"{name:<{width}}  {line}") for name, line in lines.items())
    if not as_json:
        _write(text)
        return
    if not quiet and sys.stderr is not None:
        print(text, file=sys.stderr)
    unicode = sys.stdout is not None and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    _write(json.dumps(values, ensure_ascii=not unicode, default=str))


def plain(text: str) -> str:
    """`text` with control characters other than ends of lines spelled out, so that no name of a file steers a terminal.

    >>> plain("red\\x1b[31m")
    'red\\\\x1b[31m'
    """
    return "".join(letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text)


def silence(stream: TextIO) -> None:
    """Send what is still to be written to nowhere, so that it does not fail again at the exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _write(text: str) -> None:
    """Onto stdout; that nobody reads it is no error."""
    if sys.stdout is None:
        return
    try:
        print(text, flush=True)
    except OSError as error:
        silence(sys.stdout)
        if not isinstance(error, BrokenPipeError):
            raise UserError(f"Cannot write the result to stdout: {error.strerror}") from None
