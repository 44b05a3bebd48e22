"""Values that the Tab key offers: names that are known here, and files beside them, without importing torch."""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import typer
from pydantic import BaseModel

from pellucid.codecs import codecs
from pellucid.conditioners import conditioners
from pellucid.denoisers import denoisers
from pellucid.known import recipes as sets
from pellucid.losses import times, weightings
from pellucid.modalities import modalities
from pellucid.networks import networks
from pellucid.processes import processes
from pellucid.samplers import grids, samplers
from pellucid.schedules import schedules
from pellucid.training import optimisers

MODELS = Path(__file__).parents[1] / "models"
LONGEST = 10**8  # bytes of a header
PARTS = {
    "modality.name": modalities, "schedule.name": schedules, "process.name": processes, "network.name": networks,
    "denoiser.name": denoisers, "codec.name": codecs, "text.name": conditioners, "optimiser.name": optimisers,
    "loss.weighting.name": weightings, "loss.times.name": times, "sampling.sampler": samplers, "sampling.grid": grids,
}  # fmt: skip
"""Settings that name a part of a model or of its training."""


def among(names: Iterable[str]) -> Callable[[], list[str]]:
    """One of these."""
    return lambda: list(names)


def model(incomplete: str) -> list[str]:
    """A model that comes with the package, or a file."""
    return _beside_files([file.stem for file in MODELS.glob("*.safetensors")], incomplete)


def recipe(incomplete: str) -> list[str]:
    """A recipe that comes with the package, or a file."""
    from pellucid.training.config import recipes

    return _beside_files(recipes(), incomplete)


def methods(incomplete: str) -> list[str]:
    """Methods to compare, after a comma another."""
    from pellucid.training.config import recipes

    return _another(["diffusion", *recipes()], incomplete)


def condition() -> list[str]:
    """What `--condition` knows by name."""
    from pellucid.training.config import CONDITIONS

    return list(CONDITIONS)


def tracker() -> list[str]:
    """What `--track` knows."""
    from pellucid.training.tracker import TRACKERS

    return list(TRACKERS)


def known(incomplete: str) -> list[str]:
    """A known data set, spelled with hyphens if that was begun."""
    return [name.replace("_", "-") if "-" in incomplete else name for name in sets]


def label(context: typer.Context, incomplete: str) -> list[str]:
    """A label of the first model that is named, after a comma another."""
    words = os.environ.get("COMP_WORDS") or os.environ.get("_TYPER_COMPLETE_ARGS") or ""
    names = [*words.split(), str(context.params.get("model"))]  # an unfinished option hides the arguments from `params`
    for name in names:
        for file in (Path(name, "model.safetensors"), Path(name), MODELS / f"{name}.safetensors"):
            if file.suffix == ".safetensors" and file.is_file():
                return _another(["all", *_labels(file)], incomplete)
    return []


def style(context: typer.Context) -> list[str]:
    """One label, in `generate`."""
    return label(context, "")[1:]


def _labels(file: Path) -> list[str]:
    """From the header of a model file, which is JSON after its length in 8 bytes."""
    with file.open("rb") as opened:
        header = opened.read(min(int.from_bytes(opened.read(8), "little"), LONGEST))
    try:
        return list(json.loads(json.loads(header)["__metadata__"]["facts"])["labels"])
    except (KeyError, TypeError, ValueError, RecursionError):  # none of ours
        return []


def setting(context: typer.Context) -> list[str]:
    """KEY=VALUE of a run: names of parts, and other settings as they are unless set. Of samplers torch alone knows."""
    return [] if any(parameter.name == "sampler" for parameter in context.command.params) else list(_settings())


def _settings() -> Iterator[str]:
    from pellucid.training.config import RunConfig

    for key, registry in PARTS.items():
        yield from (f"{key}={name}" for name in registry)
    for section, default in RunConfig():
        for key, value in default if isinstance(default, BaseModel) else ():
            if isinstance(value, str | int | float):
                yield f"{section}.{key}={json.dumps(value) if isinstance(value, bool) else value}"


def _another(names: Iterable[str], incomplete: str) -> list[str]:
    """What was said up to the last comma, and each name after it."""
    before, comma, _ = incomplete.rpartition(",")
    return [f"{before}{comma}{name}" for name in names]


def _beside_files(names: Iterable[str], incomplete: str) -> list[str]:
    """The names that fit and the files that do: where none but files fit, the shell completes them better itself."""
    fitting = [name for name in names if name.startswith(incomplete)]
    files = sorted(Path().glob(f"{incomplete}*" if incomplete else "[!.]*")) if fitting else []
    return [*fitting, *(f"{file}/" if file.is_dir() else str(file) for file in files)]
