"""The best settings as a recipe: a TOML file that says only what differs from the defaults of the house."""

from pathlib import Path
from typing import Any

import tomli_w
from pydantic import BaseModel

from pellucid.core.files import atomic_write
from pellucid.training.config import RunConfig


def write_recipe(config: RunConfig, path: Path, heading: str) -> None:
    """`config` without its data, under `heading` as a comment, one line of it each."""
    lines = "".join(f"# {line}\n" for line in heading.splitlines())
    with atomic_write(path) as temporary:
        temporary.write_text(f"{lines}\n{tomli_w.dumps(as_recipe(config))}", encoding="utf-8")


def as_recipe(config: RunConfig) -> dict[str, Any]:
    """What differs from the defaults: whole sections of parts, single settings of others."""
    found = _differing(config, RunConfig())
    found.get("data", {}).pop("path", None)
    return {name: value for name, value in found.items() if value != {}}


def _differing(own: BaseModel, usual: BaseModel) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in type(own).model_fields:
        value, other = getattr(own, name), getattr(usual, name)
        if isinstance(value, BaseModel):
            if inner := _differing(value, other):
                found[name] = inner
        elif value != other and value is not None:
            found[name] = list(value) if isinstance(value, tuple) else value
    return found
