"""`pellucid likelihood`."""

from math import isfinite
from pathlib import Path
from typing import Annotated, Literal

import typer

from pellucid.cli.options import Device, Json, ModelPlace, Quiet, Seed, choose_device, result


def likelihood(
    model: ModelPlace,
    data: Annotated[Path, typer.Argument(help="Data of the kind that the model was trained on.", show_default=False)],
    n: Annotated[
        int, typer.Option("-n", metavar="N", min=2, help="How many samples are measured, spread over the data.")
    ] = 64,
    method: Annotated[Literal["ode", "elbo"], typer.Option(help="ode: exact up to the solver; elbo: a bound.")] = "ode",
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, help="Solver steps of ode, noise levels of elbo.")
    ] = 64,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How probable data is under the model; fewer bits are better.

    Pictures are taken as bytes, each spread uniformly over its level of 256:
    knowing nothing costs 8 bits per dimension. Text is measured by the elbo, in
    bits per character.

    Examples:
      pellucid likelihood runs/photos HELD_OUT/
      pellucid likelihood runs/poems held-out.txt -n 256
      pellucid likelihood runs/fashion data/fashion-mnist -n 256 --method elbo
    """
    from pellucid.cli.console import console, counted, duration
    from pellucid.core.errors import UserError
    from pellucid.evaluation.bits import measure_bits
    from pellucid.interop.load import load

    screen = console(quiet)
    loaded = load(model, choose_device(device))
    with screen.status("measuring"):
        found = measure_bits(loaded, data, n=n, method=method, steps=steps, seed=seed or 0)
    if not isfinite(found.mean):
        raise UserError(f"The likelihood is not a number: the weights of '{model}' are damaged, or its training went wrong")
    for note in found.notes:
        screen.print(f"data      {note}")
    method = "elbo" if found.of == "character" else method
    how = f"ode in {counted(steps, 'step')}" if method == "ode" else f"elbo at {counted(steps, 'noise level')}"
    spread = "as a density, on the model's scale"
    if found.levels is not None:
        spread = f"{found.levels} levels dequantised uniformly"
    elif found.of == "character":
        spread = "of whole windows"
    lines = {
        "bits": f"{found.mean:.4f} ± {1.96 * found.standard_error:.4f} per {found.of} (95% interval)",
        "from": f"{counted(found.n, 'sample')}, {how}, {spread}, {duration(found.seconds)}",
    }  # fmt: skip
    if found.unlike is not None:
        lines["unlike"] = f"{found.unlike} of {found.n} are flagged as unlike the training data; of that, 1% would be"
    unit = "dim" if found.of == "dimension" else found.of
    values = {
        f"bits_per_{unit}": found.mean, "standard_error": found.standard_error, "n": found.n, "method": method,
        "steps": steps, "seed": seed or 0, "seconds": found.seconds, "unlike": found.unlike,
    }  # fmt: skip
    result(lines, values, json, quiet)
