"""`pellucid COMMAND`: the list of commands, and how they end.

Exit codes: 0 done, 2 the user's input is at fault, 1 our fault, 130 interrupted with everything saved.
"""

import os
import sys
from typing import Annotated

import typer
from typer.main import get_command

from pellucid.cli.compare import compare
from pellucid.cli.completing import continue_, impute
from pellucid.cli.data import data
from pellucid.cli.doctor import doctor
from pellucid.cli.edit import edit
from pellucid.cli.evaluate import evaluate
from pellucid.cli.export import export
from pellucid.cli.generate import generate
from pellucid.cli.language import chinese, reads_chinese, translate
from pellucid.cli.likelihood import likelihood
from pellucid.cli.options import plain, silence
from pellucid.cli.sample import sample
from pellucid.cli.serve import serve
from pellucid.cli.speedup import speedup
from pellucid.cli.train import train
from pellucid.cli.tune import tune
from pellucid.core.errors import ConfigError, PellucidError

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "unable to allocate")
"""How torch and NumPy say it."""

app = typer.Typer(
    name="pellucid",
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS = (
    train, sample, generate, edit, continue_, impute, speedup, evaluate, compare, tune, likelihood, export, serve, doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command(command.__name__.rstrip("_"))(command)
app.add_typer(data, name="data")


@app.callback(invoke_without_command=True)
def pellucid(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", metavar=" ", help="Show the version and exit.")] = False,
) -> None:
    """Diffusion models from your own data: train, sample, measure.

    Each command explains itself with examples: pellucid train --help.

    Examples:
      pellucid train PHOTOS/ --out runs/photos --minutes 30
      pellucid sample runs/photos -n 16 --out sheet.png
      pellucid generate "a smiling cat" -o cat.png
      pellucid edit runs/photos photo.png --mask mask.png --out filled.png
      pellucid continue runs/power history.csv --length 48 --out forecast.png
      pellucid speedup runs/photos --steps 6 --out fast.safetensors
      pellucid evaluate runs/photos
      pellucid compare PHOTOS/ --minutes 5 --out compared
      pellucid tune PHOTOS/ --trials 20 --minutes 5 --out tuned
      pellucid likelihood runs/photos HELD_OUT/
      pellucid export runs/photos --loop --out photos-onnx
      pellucid serve runs/photos
      pellucid data show PHOTOS/
      pellucid doctor
    """
    if version:
        from importlib.metadata import version as installed

        print(f"pellucid {installed('pellucid')}")
    elif context.invoked_subcommand is None:
        print(context.get_help(), end="")
        raise typer.Exit(2)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal that lacks a character is no reason to fail
    sys.exit(_run(sys.argv[1:]))


def _run(words: list[str]) -> int:
    """The exit code, after an error has been told."""
    try:
        _check_words(words)
        root = get_command(app)
        if reads_chinese():
            translate(root, chinese())
        code = int(root(words, prog_name="pellucid", standalone_mode=False) or 0)
    except PellucidError as error:
        return _end(f"error: {error}", error.exit_code)
    except KeyboardInterrupt:
        code = 130
    except Exception as error:
        if os.environ.get("PELLUCID_DEBUG"):
            raise
        return _explained(error)
    return _end("interrupted", code) if code == 130 else code


def _check_words(words: list[str]) -> None:
    for word in words:
        if not word or (word.startswith("--") and word.endswith("=")):
            where = f"'{word}' has no value" if word else "An argument is empty"
            raise ConfigError(f"{where}: is a variable of your shell not set?")
        if any("\ud800" <= letter <= "\udfff" for letter in word):
            code = sys.getfilesystemencoding()
            raise ConfigError(f"The argument {word!a} is no text in {code}: rename the file, or set PYTHONUTF8=1")


def _explained(error: Exception) -> int:
    """Tell of an error that is none of ours, and whose fault it is."""
    if hasattr(error, "format_message"):
        return _end(_usage(error), 2)
    text = str(error).lower()
    if isinstance(error, MemoryError) or any(mark in text for mark in OUT_OF_MEMORY):
        return _end(
            f"error: There is not enough memory for that: {(str(error).splitlines() or ['none is left'])[0]}\n"
            "Try a smaller --size or --batch, training.batch, training.micro_batch or network.size.", 2
        )  # fmt: skip
    if isinstance(error, OSError) and error.strerror:
        name = os.fsdecode(error.filename) if isinstance(error.filename, bytes) else error.filename
        return _end(f"error: {error.strerror}" + (f": '{name}'" if name else ""), 2)
    return _end(
        f"error: {type(error).__name__}: {error}\n"
        "This is a fault in pellucid, not in your input. PELLUCID_DEBUG=1 shows where; please report it.", 1
    )  # fmt: skip


def _usage(error: Exception) -> str:
    """What is wrong with the words of the command line: what came, the nearest valid name, where help is."""
    message = str(error.format_message() if hasattr(error, "format_message") else error)
    if close := getattr(error, "possibilities", None):
        message = f"{message.partition(' (')[0]}: did you mean {' or '.join(close)}?"
    if details := getattr(error.__cause__, "errors", None):
        from pellucid.core.config import expected

        place, _, rest = message.partition(": ")
        message, came = f"{place}: {expected(rest)}", details()[0]["input"]
        message += "" if repr(came) in message else f", got {came!r}"
    context = getattr(error, "ctx", None)
    return f"error: {message}\nSee {context.command_path if context else 'pellucid'} --help"


def _end(text: str, code: int) -> int:
    if sys.stderr is not None:
        try:
            print(plain(text), file=sys.stderr, flush=True)
        except OSError:  # nobody to tell
            silence(sys.stderr)
    return code
