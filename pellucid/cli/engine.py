"""`--engine` of several commands."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from pellucid.model.model import Model

Engine = Annotated[
    Literal["torch", "onnx", "auto"],
    typer.Option(help="What runs the network: torch, ONNX Runtime, or that where it is faster."),
]


def with_engine(model: "Model", kind: Literal["torch", "onnx", "auto"], rows: int, screen: "Console") -> dict[str, str]:
    """Have the network run so; what is to be told."""
    if kind == "torch":
        return {}
    from pellucid.interop.engine import accelerate

    with screen.status("preparing the engine, which is kept for the next time"):
        found = accelerate(model, kind, rows=rows)
    if found is None:
        return {"engine": "torch, ONNX Runtime is not faster here, or not possible"}
    return {"engine": f"ONNX Runtime, {found.speed:.2f} times as fast as torch, answers differ by {found.difference:.0e}"}
