"""A model from wherever it is: a file or run folder of ours, or a folder in the layout of diffusers."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pellucid.codecs.codec import Codec
from pellucid.codecs.identity import Identity
from pellucid.core.errors import ModelError, UnsupportedError
from pellucid.core.library import library
from pellucid.core.reason import reason
from pellucid.interop.autoencoder import Autoencoder
from pellucid.interop.borrowed import CARD, Borrowed
from pellucid.interop.clip_text import ClipText
from pellucid.interop.find import find
from pellucid.interop.half import half_precision
from pellucid.interop.layout import INDEX, PICKLES, Layout, read_json
from pellucid.interop.lora import NAME as LORA
from pellucid.interop.lora import add_lora
from pellucid.interop.native import STABLE, foreign_part
from pellucid.interop.pretrained import Pretrained
from pellucid.interop.published import Published
from pellucid.modalities.image import Image
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.files import NAME
from pellucid.model.model import Model

LEFT_OUT = ("safety_checker",)
"""Components that are not run."""
CODECS = {"StableDiffusionPipeline": "vae", "StableDiffusionXLPipeline": "vae", "LDMPipeline": "vqvae"}
GUIDANCE = {"StableDiffusionPipeline": 7.5, "StableDiffusionXLPipeline": 5.0}
STEPS = {"ancestral": 1000}
"""Where not 50. Both are what diffusers does unless told."""


def load(
    path: Path | str,
    device: str = "cpu",
    *,
    half: bool = False,
    low_memory: bool = False,
    lora: Mapping[Path, float] | None = None,
) -> Model:
    """A model that samples.

    Arguments:
        path: a run folder, a model file, the name of a model that comes with the package, or a folder in the layout of
            diffusers whose pipeline is Stable Diffusion, SDXL, or one that takes no words; or such a one's name on the hub.
        half: compute a pipeline's networks in 16 bits.
        low_memory: compute them piece by piece, and read prompts on the CPU.
        lora: files of low-rank weights that are added to a pipeline's, and how much of each.

    Raises:
        ModelError: there is none, or it is damaged.
        UnsupportedError: a pipeline of another kind; or what only a pipeline can do was asked of a model of ours.
    """
    place = find(path)
    if (place / LORA).is_file():
        lora = {place / LORA: 1.0, **(lora or {})}
        place = find(_trained_from(place))
    if not (place / INDEX).is_file():
        if half or low_memory or lora:
            raise UnsupportedError(f"'{path}' is no pipeline of diffusers, which these options are for")
        _check_kind(place)
        return Model.load(place, device)
    layout, dtype = Layout.read(place), half_precision(device) if half else torch.float32
    if part := foreign_part(layout):
        raise UnsupportedError(f"'{place}' is not made of parts that are known here: {part}. "
                               "`pellucid generate` hands it to diffusers as it is")
    model = _assembled(layout, lora or {})
    if (card := Path(path) / CARD).is_file():  # of a run that trained it
        model.card |= read_json(card)
    for module in model.parts().values():
        module.to(device, torch.float32).eval().requires_grad_(False)
    model.denoiser.to(dtype)
    if low_memory:
        _spread_out(model)
    return model


def _check_kind(place: Path) -> None:
    """Refuse what is a model, but neither one of ours nor a whole pipeline."""
    if place.suffix.lower() in PICKLES and place.is_file():
        raise ModelError(f"'{place}' is a pickle, which can run any code and is never loaded: expected a safetensors file "
                         f"of ours or a folder with {INDEX}")
    if place.is_dir() and not any((place / name).is_file() for name in (NAME, "config.toml", "config.json")):
        raise ModelError(f"'{place}' holds no {NAME}, as a run of ours has, and no {INDEX}, as diffusers writes: has its "
                         "training saved a model yet?")
    if (place / "config.json").is_file() and (name := read_json(place / "config.json").get("_class_name")):
        raise ModelError(f"'{place}' is one component of a pipeline, its {name}: give the folder that holds {INDEX}")


def _trained_from(run: Path) -> str:
    """The pipeline that the low-rank weights of a run belong to."""
    file = run / "config.toml"
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["training"]["start"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"'{file}' does not say which pipeline '{run / LORA}' belongs to: {reason(error)}. Give the "
                         "pipeline as the model and this file as --lora") from None


def _spread_out(model: Model) -> None:
    """Attention in slices, pictures decoded one by one and in tiles, text encoders where they need no room."""
    if isinstance(model.denoiser, Pretrained):
        model.denoiser.network.set_attention_slice("auto")
    if isinstance(model.codec, Autoencoder):
        model.codec.network.enable_slicing()
        model.codec.network.enable_tiling()
    for conditioner in model.conditioners.values():
        conditioner.to("cpu", torch.float32)


def _assembled(layout: Layout, lora: Mapping[Path, float]) -> Model:
    """The model that a folder's components make."""
    peer, network = _levels(layout), layout.load("unet")
    published = Published.of(peer)
    codec = Autoencoder(layout.load(CODECS[layout.name])) if layout.name in CODECS else Identity()
    shape = _shape(network, codec)
    text = _text(layout) if layout.name in STABLE else None
    if lora:
        add_lora(_whole(layout, text, scheduler=peer, unet=network, vae=getattr(codec, "network", None)), lora)
    conditioners = {} if text is None else {"caption": text}
    denoiser = Pretrained(
        table=published.table, network=network, prediction=published.prediction, clip=published.clip,
        whole=published.whole, conditioners=conditioners, size=(shape[1], shape[2]),
    )  # fmt: skip
    facts = Facts(shape=shape, captions=bool(conditioners), std=1.0)  # of latents, so that all noise starts at variance 1
    card = {"pipeline": layout.name, "left_out": [part for part in LEFT_OUT if part in layout.parts]}
    return Borrowed(_config(layout, published), facts, denoiser, codec, Image(), card, layout=layout)


def _levels(layout: Layout) -> Any:
    """What diffusers calls the scheduler, with the corrections that Stable Diffusion's pipeline makes in old folders."""
    peer = layout.load("scheduler")
    if layout.name == "StableDiffusionPipeline":
        right = {"steps_offset": 1, "clip_sample": False}
        peer.register_to_config(**{name: value for name, value in right.items() if name in peer.config})
    return peer


def _shape(network: Any, codec: Codec) -> tuple[int, int, int]:
    """(C, H, W) of the pictures that the network was trained for."""
    side = network.config.sample_size
    height, width = (side, side) if isinstance(side, int) else side
    if not isinstance(codec, Autoencoder):
        return network.config.in_channels, height, width
    return codec.network.config.out_channels, height * codec.factor, width * codec.factor


def _text(layout: Layout) -> ClipText:
    """The reader of captions: SDXL has two encoders side by side."""
    two = layout.name == "StableDiffusionXLPipeline"
    ends = ("", "_2") if two else ("",)
    return ClipText(
        [layout.load(f"tokenizer{end}") for end in ends], [layout.load(f"text_encoder{end}") for end in ends],
        penultimate=two, zero_null=two and bool(layout.settings.get("force_zeros_for_empty_prompt", True)),
    )  # fmt: skip


def _whole(layout: Layout, text: ClipText | None, **parts: Any) -> Any:
    """The pipeline of diffusers that the components are of."""
    if text is None:
        raise UnsupportedError(f"A {layout.name} takes no low-rank weights: leave --lora out")
    for end, tokenizer, encoder in zip(("", "_2"), text.tokenizers, text.encoders, strict=False):
        parts |= {f"tokenizer{end}": tokenizer, f"text_encoder{end}": encoder}
    if layout.name == "StableDiffusionPipeline":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    with library("diffusers") as diffusers:
        return getattr(diffusers, layout.name)(**parts)


def _config(layout: Layout, published: Published) -> ModelConfig:
    """Names of the parts, and the defaults of sampling."""
    steps = STEPS.get(published.sampling["sampler"]["name"], 50)
    return ModelConfig(
        schedule={"name": "table"}, network={"name": layout.parts["unet"][1]}, denoiser={"name": "pretrained"},
        codec={"name": "autoencoder"}, text={"name": "clip"},
        sampling={**published.sampling, "steps": steps, "guidance": GUIDANCE.get(layout.name, 1.0)},
    )  # fmt: skip
