"""`pellucid COMMAND`: the list of commands, and how they end.

Exit codes: 0 done, 2 the user's input is at fault, 1 our fault, 130 interrupted with everything saved.
"""

import os
import sys

import typer

from pellucid.cli.doctor import doctor
from pellucid.cli.likelihood import likelihood
from pellucid.cli.sample import sample
from pellucid.cli.train import train
from pellucid.core.errors import PellucidError

app = typer.Typer(
    name="pellucid",
    help="Diffusion models from your own data: train, sample, measure.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (train, sample, likelihood, doctor):
    app.command()(command)


def main() -> None:
    """Run the command line and end the process with its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # idle threads sleep: a busy wait stalls small steps
    try:
        app(standalone_mode=True)
    except PellucidError as error:
        _say(f"error: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if os.environ.get("PELLUCID_DEBUG"):
            raise
        _say(
            f"error: {type(error).__name__}: {error}\n"
            "This is a fault in pellucid, not in your input. PELLUCID_DEBUG=1 shows where; please report it."
        )
        sys.exit(1)


def _say(text: str) -> None:
    print(text, file=sys.stderr)
