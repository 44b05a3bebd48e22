"""Low-rank changes to a pipeline's weights, from files of their own. Hu et al. 2022 (LoRA), section 4.1."""

from collections.abc import Mapping
from importlib.util import find_spec
from math import sqrt
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError, ModelError, UnsupportedError
from pellucid.core.library import library
from pellucid.core.random import Key
from pellucid.core.reason import reason
from pellucid.interop.layout import PICKLES

NAME = "lora.safetensors"
"""The file of a run that trained some."""
NEEDED = "Low-rank weights need peft: pip install 'pellucid[pretrained]'"


def add_lora(pipeline: Any, files: Mapping[Path, float]) -> None:
    """Put W + weight alpha / rank B A in the place of each W that a file changes, in the network and the text encoders.

    Arguments:
        pipeline: one of diffusers, whose components are changed.
        files: safetensors files with the names of diffusers, of peft or of kohya's scripts, and the weight of each.

    Raises:
        ModelError: a file is not there, is a pickle, or changes nothing that the pipeline has.
        UnsupportedError: the pipeline takes none, or peft is not installed.
    """
    if files and not hasattr(pipeline, "load_lora_weights"):
        raise UnsupportedError(f"A {type(pipeline).__name__} takes no low-rank weights: leave --lora out")
    if files and find_spec("peft") is None:
        raise UnsupportedError(NEEDED)
    for file, weight in files.items():
        if file.suffix.lower() in PICKLES:
            raise ModelError(f"'{file}' is a pickle, which can run any code and is never loaded: expected safetensors")
        if not file.is_file():
            raise ModelError(f"There is no '{file}': expected a safetensors file of low-rank weights")
        with library("diffusers"):
            try:
                pipeline.load_lora_weights(file.parent, weight_name=file.name, use_safetensors=True, local_files_only=True)
                found = pipeline.get_list_adapters()
                pipeline.fuse_lora(lora_scale=weight)
                pipeline.unload_lora_weights()
            except Exception as error:  # any that a library of many has
                raise ModelError(f"'{file}' has no low-rank weights that fit this model: {reason(error)}") from None
        if not found:
            raise ModelError(f"'{file}' has no low-rank weights that fit this model: none of its names is the model's")


def adapt(network: Any, rank: int, key: Key) -> None:
    """Freeze a network of diffusers but for a change B A of each of its linear layers and convolutions that are larger than
    `rank`, made by peft; A is drawn, B zero at the start.

    Raises:
        ConfigError: a rank that no layer is larger than.
        UnsupportedError: a network that takes none, or peft is not installed.
    """
    if not takes_adapters(network):
        raise UnsupportedError(f"A {type(network).__name__} takes no low-rank weights: set training.rank = 0")
    if find_spec("peft") is None:
        raise UnsupportedError(NEEDED)
    names = [
        name for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and min(layer.weight.flatten(1).shape) > rank
    ]  # fmt: skip
    if not names:
        raise ConfigError(f"training.rank = {rank}: no layer of the {type(network).__name__} is larger, try 16")
    with library("diffusers"):
        from peft import LoraConfig

        network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=names))
    with torch.no_grad():
        for place, (name, value) in enumerate(network.named_parameters()):
            if ".lora_A." in name:
                value.copy_(key.normal([place], tuple(value.shape))[0] / sqrt(value[0].numel()))


def takes_adapters(network: Any) -> bool:
    """Whether diffusers knows low-rank weights for this class."""
    return hasattr(network, "add_adapter")


def adapters(network: Any) -> dict[str, Tensor]:
    """The low-rank weights of a network, by the names of diffusers' files; none if it has not been adapted."""
    if not getattr(network, "peft_config", None):
        return {}
    with library("diffusers"):
        from peft import get_peft_model_state_dict

        return {f"unet.{name}": value for name, value in get_peft_model_state_dict(network).items()}
