"""`pellucid doctor`."""

from typing import Annotated

import typer

from pellucid.cli.options import Json, Quiet, result


def doctor(
    json: Json = False,
    quiet: Quiet = False,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long the speed is measured.")] = 4.0,
) -> None:
    """This machine, its speed, and what is installed.

    Examples:

        pellucid doctor

        pellucid doctor --json
    """
    from pellucid.cli.console import console
    from pellucid.evaluation.machine import examine

    screen = console(quiet)
    with screen.status("measuring"):
        found = examine(seconds)
    width = max(len(name) for name in found)
    for name, value in found.items():
        screen.print(f"{name:<{width}}  {value}")
    result(found, json)
