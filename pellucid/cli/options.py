"""Options that every command shares, and what they do."""

import json
import sys
from typing import Annotated, Any

import typer

from pellucid.core.errors import ConfigError

Json = Annotated[bool, typer.Option("--json", help="One JSON object on stdout; everything else goes to stderr.")]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Same seed, same result.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda or mps.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors and the result.")]
Setting = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any setting; may be repeated.")]


def choose_device(name: str) -> str:
    """A device that is there.

    Raises:
        ConfigError: it is not.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return "cuda" if available["cuda"] else "cpu"
    if not available.get(name.partition(":")[0], False):
        here = ", ".join(device for device, there in available.items() if there)
        raise ConfigError(f"Device '{name}' is not available here: expected one of {here}, auto")
    return name


def result(values: dict[str, Any], as_json: bool) -> None:
    """The command's result as JSON on stdout, if that was asked for."""
    if as_json:
        sys.stdout.write(json.dumps(values, ensure_ascii=False, default=str) + "\n")
