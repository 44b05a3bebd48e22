"""Training that goes out from a pipeline of diffusers: its network is changed, whole or by low-rank adapters."""

from pathlib import Path

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key
from pellucid.interop.borrowed import Borrowed
from pellucid.interop.find import find
from pellucid.interop.layout import INDEX
from pellucid.interop.load import load
from pellucid.interop.lora import adapt, takes_adapters
from pellucid.interop.pretrained import Pretrained
from pellucid.model.config import ModelConfig
from pellucid.training.config import RunConfig, parse_config
from pellucid.training.prepare import Prepared

RANK = 16
"""Of the adapters, unless told."""
RATES = {"adapters": 1e-4, "whole": 1e-5}
"""Learning rates of AdamW at which such networks are usually tuned."""


def is_pipeline(path: Path | str) -> bool:
    """Whether a model is one of diffusers' pipelines, here or on the hub."""
    return (find(path) / INDEX).is_file()


def is_tuned(config: RunConfig) -> bool:
    """Whether a run trains the network of a pipeline."""
    return config.denoiser.get("name") == "pretrained"


def pipeline_settings(path: Path | str) -> RunConfig:
    """A configuration that trains a pipeline's network further, by adapters if it takes them: pictures of its size, noise
    levels evenly over its table.
    """
    place = find(path).absolute()
    model = _opened(place)
    assert isinstance(model.denoiser, Pretrained)
    channels, *space = model.facts.shape
    how = "adapters" if takes_adapters(model.denoiser.network) else "whole"
    return parse_config({
        **model.config.model_dump(),
        "data": {"size": space, "channels": channels},
        "loss": {"times": {"name": "uniform"}},
        "optimiser": {"name": "adamw", "learning_rate": RATES[how]},
        "training": {"start": str(place), "rank": RANK if how == "adapters" else 0, "batch": 4, "warmup": 256},
    })  # fmt: skip


def tunable(config: RunConfig, prepared: Prepared) -> Borrowed:
    """The pipeline of a run, its network ready to be trained.

    Raises:
        ConfigError: a setting that only a network of ours has.
        UnsupportedError: the pipeline takes no labels, or no captions, and they were asked for; or no adapters.
    """
    model, wanted, training = _opened(Path(config.training.start)), config.data.condition, config.training
    own = config.model_part()
    for name in ModelConfig.model_fields:
        if name != "sampling" and getattr(own, name) != getattr(model.config, name):
            raise ConfigError(f"{name} = {getattr(own, name)}: a pipeline keeps its own, {getattr(model.config, name)}")
    if training.weak:
        raise ConfigError("training.weak: a pipeline keeps no weak version of itself: set it to 0")
    kind = model.card["pipeline"]
    if wanted == "label" or (wanted not in ("auto", "none") and "caption" not in model.conditioners):
        takes = "captions only" if "caption" in model.conditioners else "neither labels nor captions"
        raise UnsupportedError(f"condition = {wanted}: a {kind} is told {takes}")
    if prepared.facts.shape != model.facts.shape:
        raise ConfigError(f"The data is {_sized(prepared.facts.shape)}, the pipeline makes {_sized(model.facts.shape)}: "
                          "leave data.size and data.channels out")
    model.config = own
    assert isinstance(model.denoiser, Pretrained)
    if training.rank:
        adapt(model.denoiser.network, training.rank, Key(config.seed, "adapters"))
    else:
        model.denoiser.network.requires_grad_(True)
    return model


def _opened(place: Path) -> Borrowed:
    model = load(place)
    assert isinstance(model, Borrowed)
    return model


def _sized(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
