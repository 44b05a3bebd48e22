"""Training that goes out from a model that exists: its parts as settings, its weights as far as they fit."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any

import torch
from torch import Tensor

from pellucid.conditioners.caption import Caption
from pellucid.core.errors import ConfigError
from pellucid.core.files import atomic_write
from pellucid.core.random import Key
from pellucid.modalities import modalities
from pellucid.model.assemble import assemble_modality, spread
from pellucid.model.files import find_model, read_model
from pellucid.model.model import Model
from pellucid.networks.low_rank import adapt
from pellucid.training.config import RunConfig, parse_config
from pellucid.training.pipeline import is_pipeline, is_tuned, pipeline_settings

GENTLE = 0.001
"""Learning rate of Muon where a model is changed, a fifth of that at which one is made."""
START = "start.safetensors"
LABELS = "denoiser.conditioners.label.table.weight"
READER = "denoiser.conditioners.caption."
VOCABULARY = f"{READER}vocabulary"


def settings_of(path: Path | str) -> RunConfig:
    """A configuration that trains the model in `path` further: its parts, and data of its size and channels."""
    if is_pipeline(path):
        return pipeline_settings(path)
    config, facts, _, _ = read_model(path)
    channels, *space = facts.shape
    values: dict[str, Any] = config.model_dump()
    if modalities[config.modality["name"]].lasting:
        values["modality"] = {**config.modality, **facts.modality}
    if facts.categories:
        values["data"] = {"size": space}
    else:
        modality = assemble_modality(config.modality, facts.modality)
        values["denoiser"] = {"sigma_data": spread(modality, facts), **config.denoiser}
    values["optimiser"] = {"name": "muon", "learning_rate": GENTLE}
    values["training"] = {"start": str(path)}
    if len(space) == 2:
        values["data"] = {"size": space, "channels": channels}
    return parse_config(values)


def keep_start(config: RunConfig, folder: Path) -> Path | None:
    """The run's own copy of the model that it goes out from, so that resuming does not depend on where that lay.

    A pipeline, which may be large, stays where it is.
    """
    if not config.training.start or is_tuned(config):
        return None
    kept = folder / START
    if not kept.is_file():
        source = find_model(Path(config.training.start))
        with atomic_write(kept) as temporary:
            copyfile(source, temporary)
    return kept


def start_from(model: Model, path: Path | str, *, rank: int = 0, seed: int = 0) -> int:
    """Give `model` the weights of another, and adapters if `rank` is not 0; returns how many of its tensors start anew.

    Labels of the same name keep their weights. What is new in the model (other labels, captions, another reader of captions)
    starts as it was made, and is trained whole beside adapters. A codec that has learned stays as it is.

    Raises:
        ConfigError: the two have nothing in common.
    """
    config, facts, card, known = read_model(path)
    if any(config.text.get(key) != model.config.text.get(key) for key in ("name", "source")):  # weights of another reader
        known = {name: value for name, value in known.items() if not name.startswith(READER)}
    own = {name: value for name, value in model.tensors().items() if name.startswith("denoiser.")}
    anew = set(_anew(own, known))
    if not any(name.startswith("denoiser.network.") for name in own.keys() - anew):
        raise ConfigError(f"No weight of '{path}' fits this network: leave its settings as the model has them")
    with torch.no_grad():
        for name, value in own.items():
            if name == LABELS and name in known:
                _copy_labels(value, model.facts.labels, known[name], facts.labels)
            elif name in known and name not in anew | {VOCABULARY}:
                value.copy_(known[name])
    if VOCABULARY in known and isinstance(caption := model.conditioners.get("caption"), Caption):
        caption.vocabulary = known[VOCABULARY]
    free = {name.removeprefix("denoiser.") for name in (*anew, LABELS)}
    if model.codec.fitted or (model.codec.learned and "codec" in card):
        model.codec.load_state_dict({n.removeprefix("codec."): v for n, v in known.items() if n.startswith("codec.")})
    if model.codec.learned and "codec" in card:
        model.card["codec"] = card["codec"]
    if rank:
        adapt(model.denoiser, rank, Key(seed, "adapters"), free=frozenset(free))
    return len(anew)


def _anew(own: dict[str, Tensor], known: dict[str, Tensor]) -> Iterator[str]:
    for name, value in own.items():
        if (name not in known or known[name].shape != value.shape) and name not in (LABELS, VOCABULARY):
            yield name


def _copy_labels(table: Tensor, names: tuple[str, ...], known: Tensor, known_names: tuple[str, ...]) -> None:
    """Rows of the labels that both have, and of none."""
    for row, name in enumerate(names):
        if name in known_names:
            table[row] = known[known_names.index(name)]
    table[len(names)] = known[len(known_names)]
