"""`pellucid doctor`."""

from typing import Annotated

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, choose_device, result


def doctor(
    seconds: Annotated[float, typer.Option(metavar="S", min=0.1, max=3600, help="How long the speed is measured.")] = 4.0,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """This machine, its speed, and what is installed.

    The speed is measured on --device, with numbers drawn from --seed.

    Examples:
      pellucid doctor
      pellucid doctor --json
    """
    from pellucid.cli.console import console
    from pellucid.evaluation.machine import examine

    with console(quiet).status("measuring"):
        found = examine(seconds, device=choose_device(device), seed=seed or 0)
    result({name: str(value) for name, value in found.items()}, found, json, quiet)
