"""`--engine` and `--reuse` of several commands."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pellucid.cli.options import choose_device
from pellucid.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pellucid.model.model import Model

Engine = Annotated[
    Literal["torch", "packed", "onnx", "auto"],
    typer.Option(
        metavar="NAME", help="What runs the network: torch, packed (torch, weights laid out for this CPU), onnx (ONNX "
        "Runtime), or auto, the fastest of them.",
    ),
]

Reuse = Annotated[
    int | None, typer.Option(metavar="K", min=2, help="Compute coarse features at every K-th network call alone.")
]


def shared(place: Path, device: str, quiet: bool) -> tuple["Console", "Model"]:
    """A screen, and a model whose drawing the processes that torchrun started share; the first of them alone speaks."""
    from pellucid.cli.console import console
    from pellucid.core.group import Group, follows
    from pellucid.interop.load import load

    screen, device = console(quiet or follows()), choose_device(device)
    group = Group.join(device)
    model = load(place, group.device(device))
    model.group = group
    return screen, model


def with_engine(
    model: "Model", kind: Literal["torch", "packed", "onnx", "auto"], reuse: int | None, rows: int, screen: "Console"
) -> dict[str, str]:
    """Have the network run so; what is to be told."""
    if kind == "torch":
        return {}
    if reuse is not None:
        raise ConfigError(f"--reuse {reuse} and --engine {kind}: give one of them")
    from pellucid.interop.engine import accelerate

    with screen.status("preparing the engine"):
        found = accelerate(model, kind, rows=rows)
    if found is None:
        return {"engine": "torch, nothing else is faster here, or possible"}
    return {"engine": f"{found.engine}, {found.speed:.2f} times as fast as torch, answers differ by {found.difference:.0e}"}


def with_reuse(model: "Model", every: int | None, n: int, screen: "Console", **settings: Any) -> dict[str, str]:
    """Have features be reused, drawing a few samples without and with that; what is to be told."""
    if every is None:
        return {}
    from pellucid.interop.reuse import CHECKED, measure

    with screen.status("measuring what reuse costs"):
        cost = measure(model, every, n, **settings)
    words = f"{cost.speed:.2f} times as fast, and values differ by {cost.difference:.3g}, root mean square"
    return {"reuse": f"{words} ({min(n, CHECKED)} samples without it and with it)"}
