"""`pellucid speedup`."""

from pathlib import Path
from shlex import quote
from typing import Annotated, Any, Literal

import typer

from pellucid.cli.options import Device, Json, ModelPlace, Quiet, Seed, choose_device, result
from pellucid.cli.sample import check_out
from pellucid.core.errors import ConfigError


def speedup(
    model: ModelPlace,
    steps: Annotated[
        int, typer.Option(metavar="N", min=1, max=16, help="Network calls that a sample may take.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", "-o", metavar="PATH", help="solver: a model file; otherwise a run's folder.", show_default=False
        ),
    ],
    method: Annotated[
        Literal["solver", "consistency", "adversarial"],
        typer.Option(help="solver: the network stays as it is; the others train it on, for 1 to 4 calls."),
    ] = "solver",
    prompts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="solver: prompts, a line each, for a model that reads captions.")
    ] = None,
    lessons: Annotated[int, typer.Option(metavar="N", min=1, help="solver: how long to learn, 16 samples a lesson.")] = 300,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="To train on; a run's own unless given. Not for solver.")
    ] = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Train for about this long. Not for solver.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Train on this many. Not for solver.")] = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Learn to sample in few steps.

    solver: when to call the network and how to combine its answers, learned in
    minutes from the model's own samples in many steps, under its own guidance;
    used whenever as many steps are asked for, without --sampler. consistency: the
    network itself learns to end in N calls where the model ends in many.
    adversarial: so, and judged by a critic.

    Examples:
      pellucid speedup runs/photos --steps 6 --out fast.safetensors
      pellucid speedup emoji --steps 8 --prompts p.txt --out e8.safetensors
      pellucid speedup RUN --steps 2 --method consistency --minutes 9 -o two
    """
    where = choose_device(device)
    others = {"--data": data, "--minutes": minutes, "--samples": samples} if method == "solver" else {"--prompts": prompts}
    if idle := [name for name, value in others.items() if value is not None]:
        raise ConfigError(f"{idle[0]} has no effect with --method {method}: leave it out, or choose the other method")
    if method == "solver":
        check_out(out, (".safetensors",), "--out", folder=False)
        lines, values = _solver(model, steps, out, prompts, lessons, seed or 0, where, quiet)
    else:
        lines, values = _tuned(model, steps, out, data, minutes, samples, seed, where, quiet, judged=method == "adversarial")
    result(lines, {"method": method, "steps": steps, "seed": seed or 0, **values}, json, quiet)


def _solver(
    model: Path, steps: int, out: Path, prompts: Path | None, lessons: int, seed: int, device: str, quiet: bool
) -> tuple[dict[str, str], dict[str, Any]]:
    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.model.files import read_model, write_model
    from pellucid.model.model import Model
    from pellucid.training.solver import TEACHER, TEACHER_STEPS, learn_solver

    screen = console(quiet)
    opened, asked = Model.load(model, device=device), _lines(prompts)
    with counting(screen, "learning") as tell:
        found = learn_solver(opened, steps, lessons=lessons, seed=seed, prompts=asked, progress=tell)
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
        "beginning": found.beginning, "before": found.before, "after": found.after, "seconds": found.seconds,
        "file": str(out),
    }  # fmt: skip
    return lines, values


def _tuned(
    model: Path, steps: int, out: Path, data: Path | None, minutes: float | None, samples: int | None, seed: int | None,
    device: str, quiet: bool, *, judged: bool,
) -> tuple[dict[str, str], dict[str, Any]]:  # fmt: skip
    from pellucid.cli.console import TrainingDisplay, console, counted, duration
    from pellucid.training.shorten import CRITIC, tune_to_consistency

    with TrainingDisplay(console(quiet)) as display:
        tuned = tune_to_consistency(
            model, out, steps=steps, critic=CRITIC if judged else 0.0, data=data, minutes=minutes, samples=samples,
            seed=seed, device=device, observer=display,
        )  # fmt: skip
    spent = 60 * tuned.card["minutes"]
    lines = {
        "done": f"{counted(tuned.card['samples_seen'], 'sample')} in {duration(spent)}",
        "model": f"{out}, {counted(steps, 'network call')} a sample unless --steps asks for others",
        "report": str(out / "report.html"),
        "more": f"pellucid evaluate {quote(str(out))}",
    }
    return lines, {"run": out, **tuned.card}


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
