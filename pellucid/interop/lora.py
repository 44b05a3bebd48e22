"""Low-rank changes to a pipeline's weights, from files of their own. Hu et al. 2022 (LoRA), section 4.1."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pellucid.core.errors import ModelError, UnsupportedError
from pellucid.core.library import library
from pellucid.core.reason import reason
from pellucid.interop.layout import PICKLES


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
        raise UnsupportedError("Low-rank weights need peft: pip install 'pellucid[pretrained]'")
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
