"""`pellucid speedup`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, choose_device, result
from pellucid.cli.sample import check_out


def speedup(
    model: Annotated[Path, typer.Argument(help="A run folder or a model file.", show_default=False)],
    steps: Annotated[
        int, typer.Option(metavar="N", min=2, max=16, help="Network calls that a sample may take.", show_default=False)
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The model with its solver, .safetensors.", show_default=False)],
    method: Annotated[Literal["solver"], typer.Option(help="solver: the network stays as it is.")] = "solver",
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Prompts, a line each, for a model that reads captions.")
    ] = None,
    lessons: Annotated[int, typer.Option(metavar="N", min=1, help="How long to learn, 16 samples a lesson.")] = 300,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn to sample in few steps, in minutes.

    Learns when to call the network and how to combine its answers, from the
    model's own samples in many steps. It is used whenever as many steps are
    asked for, without --sampler; a model file holds one for each count.

    Examples:
      pellucid speedup runs/photos --steps 6 --out fast.safetensors
      pellucid speedup emoji --steps 8 --prompts p.txt --out e8.safetensors
    """
    check_out(out, (".safetensors",), "--out", folder=False)
    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.model.files import read_model, write_model
    from pellucid.model.model import Model
    from pellucid.training.solver import TEACHER, TEACHER_STEPS, learn_solver

    screen, where = console(quiet), choose_device(device)
    opened, asked = Model.load(model, device=where), _lines(prompts)
    with counting(screen, "learning") as tell:
        found = learn_solver(opened, steps, lessons=lessons, seed=seed or 0, prompts=asked, progress=tell)
    config, facts, card, tensors = read_model(model)
    config.solvers[str(steps)] = found.sections
    write_model(out, config, facts, card, tensors)
    calls = counted(2 * TEACHER_STEPS - 1, "network call")
    lines = {
        "teacher": f"{TEACHER} in {TEACHER_STEPS} steps, {calls}; distances are root mean squares to its samples",
        "before": f"{found.before:.4f} by {found.beginning}, the nearest of those known, {counted(steps, 'network call')}",
        "after": f"{found.after:.4f} in as many, learned in {duration(found.seconds)}",
        "model": str(out),
    }
    values = {
        "method": method, "steps": steps, "beginning": found.beginning, "before": found.before, "after": found.after,
        "seconds": found.seconds, "seed": seed or 0, "file": str(out),
    }  # fmt: skip
    result(lines, values, json, quiet)


def _lines(path: Path | None) -> list[str] | None:
    """The lines of a text that are not empty."""
    from pellucid.core.errors import UserError

    if path is None:
        return None
    try:
        found = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise UserError(f"The prompts in '{path}' cannot be read: {why}") from None
    if not found:
        raise UserError(f"'{path}' holds no prompt: expected one a line")
    return found
