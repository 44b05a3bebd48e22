"""The model file: one safetensors file, configuration and card in its metadata, with a checksum. No pickle is ever read."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pellucid.core.config import explain
from pellucid.core.errors import ModelError, UserError
from pellucid.core.files import atomic_write
from pellucid.model.config import Facts, ModelConfig

FORMAT = "pellucid-model-1"
NAME = "model.safetensors"
COMMON = 4096
"""What a number in a configuration may be in any file, such as the length of a window."""
SUM = "sha256"
"""The entry of a file's metadata that tells whether all of it is as it was written."""
SHIPPED = Path(__file__).parents[1] / "models"
"""Models that come with the package, found by name where no file of that name is."""


def write_model(
    path: Path | str, config: ModelConfig, facts: Facts, card: dict[str, Any], tensors: dict[str, Tensor]
) -> None:
    """Write a model file, whole or not at all. `path` may be a folder."""
    target = Path(path)
    metadata = {
        "format": FORMAT,
        "config": config.model_dump_json(),
        "facts": facts.model_dump_json(),
        "card": json.dumps(card, ensure_ascii=False),
    }
    write_tensors(target / NAME if target.is_dir() else target, tensors, metadata)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict[str, str]) -> str:
    """Write a safetensors file, whole or not at all, that is as open to others as any file made here; gives its checksum."""
    plain = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    whole = checksum(plain, metadata)
    with atomic_write(path) as temporary:
        temporary.touch()
        mode = temporary.stat().st_mode  # safetensors would shut everybody else out
        try:
            save_file(plain, temporary, {**metadata, SUM: whole})
        except SafetensorError as error:
            raise UserError(f"Cannot write '{path}': {str(error).rpartition('I/O error: ')[2]}") from None
        temporary.chmod(mode)
    return whole


def read_tensors(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """(metadata, tensors) of a safetensors file, compared with its checksum if it has one.

    Raises:
        OSError: it cannot be read.
        SafetensorError, ValueError: it is damaged.
    """
    path.open("rb").close()  # says better than safetensors why it cannot be read
    with safe_open(path, framework="pt") as opened:
        metadata = opened.metadata() or {}
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    if SUM in metadata and checksum(tensors, metadata) != metadata[SUM]:
        raise ValueError("its content is not what was written, by its checksum")
    return metadata, tensors


def checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, types, shapes and values of contiguous tensors and of metadata, itself not counted."""
    found = sha256(json.dumps({key: value for key, value in metadata.items() if key != SUM}, sort_keys=True).encode())
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        found.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def read_model(path: Path | str) -> tuple[ModelConfig, Facts, dict[str, Any], dict[str, Tensor]]:
    """(config, facts, card, tensors) of a model file or of a run folder that holds one.

    Raises:
        ModelError: no such file, not a model of ours, or damaged.
    """
    file = find_model(Path(path))
    try:
        metadata, tensors = read_tensors(file)
        if metadata.get("format", "").startswith("pellucid-checkpoint"):
            raise ModelError(f"'{file}' is a checkpoint, not a model: give the run's folder, once it is trained")
        if metadata.get("format") != FORMAT:
            came = metadata.get("format", "no format entry")
            raise ModelError(f"'{file}' is a safetensors file but not a pellucid model: {came}, expected {FORMAT}")
        config = ModelConfig.model_validate_json(metadata["config"])
        facts = Facts.model_validate_json(metadata["facts"])
        card = json.loads(metadata.get("card", "{}"))
        _check_sizes(file, config, tensors)
        return config, facts, card, tensors
    except ValidationError as error:
        raise ModelError(f"'{file}' was made by another version: {explain(error)}") from None
    except KeyError as error:
        raise ModelError(f"'{file}' was made by another version: it has no {error}") from None
    except OSError as error:
        raise ModelError(f"The model '{file}' cannot be read: {error.strerror or error}") from None
    except (SafetensorError, ValueError, RecursionError) as error:
        raise ModelError(f"'{file}' is not a readable safetensors file: {error}. It may be cut short") from None


def _check_sizes(file: Path, config: ModelConfig, tensors: Mapping[str, Tensor]) -> None:
    """Refuse a configuration of a network that the tensors cannot be of, before it is built: a billion layers, say."""
    most = max(COMMON, len(tensors), *(side for value in tensors.values() if value.numel() for side in value.shape))
    for part in ("network", "codec", "text", "denoiser", "process"):
        for name, value in getattr(config, part).items():
            for number in value if isinstance(value, list) else [value]:
                if _number(number) > most:
                    raise ModelError(f"'{file}' asks for {part}.{name} = {value!r}, which its weights cannot be of: {most} "
                                     "at most. It is damaged, or was made to do harm")  # fmt: skip


def _number(value: Any) -> float:
    """A number, also in digits as settings may be; 0 of anything else."""
    digits = isinstance(value, str) and value.strip().isdecimal() and len(value) < 400
    try:
        return abs(float(value)) if digits or isinstance(value, int | float) else 0.0
    except OverflowError:
        return inf


def find_model(path: Path) -> Path:
    """The file that `path` stands for: itself, that of a run folder, or a model that comes with the package.

    Raises:
        ModelError: there is none.
    """
    if path.is_file():
        return path
    shipped = {file.stem: file for file in sorted(SHIPPED.glob("*.safetensors"))}
    if not path.exists() and str(path) in shipped:
        return shipped[str(path)]
    if (path / NAME).is_file():
        return path / NAME
    if path.is_dir():
        raise ModelError(f"'{path}' holds no {NAME}: is it a run folder, and has its training saved a model yet?")
    close = get_close_matches(path.name, [*(entry.name for entry in path.parent.glob("*")), *shipped], n=1)
    hint = f". Did you mean '{path.with_name(close[0])}'?" if close else ""
    raise ModelError(f"There is no model '{path}': expected a run folder or a .safetensors file{hint}")
