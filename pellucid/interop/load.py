"""A model from wherever it is: a file or run folder of ours, or a folder in the layout of diffusers."""

from pathlib import Path
from typing import Any

import torch

from pellucid.codecs.codec import Codec
from pellucid.codecs.identity import Identity
from pellucid.core.errors import UnsupportedError
from pellucid.interop.autoencoder import Autoencoder
from pellucid.interop.clip_text import ClipText
from pellucid.interop.layout import INDEX, Layout
from pellucid.interop.pretrained import Pretrained
from pellucid.interop.published import Published
from pellucid.modalities.image import Image
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model

STABLE = ("StableDiffusionPipeline", "StableDiffusionXLPipeline")
PLAIN = ("DDPMPipeline", "DDIMPipeline", "PNDMPipeline", "LDMPipeline")
"""Pipelines that make pictures of nothing in particular."""
GUIDANCE = {"StableDiffusionPipeline": 7.5, "StableDiffusionXLPipeline": 5.0}
STEPS = {"ancestral": 1000}
"""Where not 50. Both are what diffusers does unless told."""


def load(path: Path | str, device: str = "cpu") -> Model:
    """A model that samples.

    Arguments:
        path: a run folder, a model file, the name of a model that comes with the package, or a folder in the layout of
            diffusers whose pipeline is Stable Diffusion, SDXL, or one that takes no words.

    Raises:
        ModelError: there is none, or it is damaged.
        UnsupportedError: a pipeline of another kind.
    """
    folder = Path(path)
    if not (folder / INDEX).is_file():
        return Model.load(folder, device)
    layout = Layout.read(folder)
    if layout.name not in (*STABLE, *PLAIN):
        raise UnsupportedError(f"'{folder}' is a {layout.name}, which is not made of parts that are known here")
    model = _assembled(layout)
    for part in model.parts().values():
        part.to(device, torch.float32).eval().requires_grad_(False)
    return model


def _assembled(layout: Layout) -> Model:
    """The model that a folder's components make."""
    published, network = Published.of(_levels(layout)), layout.load("unet")
    part = next((part for part in ("vae", "vqvae") if part in layout.parts), None)
    codec = Autoencoder(layout.load(part)) if part else Identity()
    shape = _shape(network, codec)
    conditioners = {"caption": _text(layout)} if layout.name in STABLE else {}
    denoiser = Pretrained(
        table=published.table, network=network, prediction=published.prediction, clip=published.clip,
        conditioners=conditioners, size=(shape[1], shape[2]),
    )  # fmt: skip
    facts = Facts(shape=shape, captions=bool(conditioners), std=1.0)  # of latents, so that all noise starts at variance 1
    return Model(_config(layout, published), facts, denoiser, codec, Image(), {"pipeline": layout.name})


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


def _config(layout: Layout, published: Published) -> ModelConfig:
    """Names of the parts, and the defaults of sampling."""
    steps = STEPS.get(published.sampling["sampler"]["name"], 50)
    return ModelConfig(
        schedule={"name": "table"}, network={"name": layout.parts["unet"][1]}, denoiser={"name": "pretrained"},
        codec={"name": "autoencoder"}, text={"name": "clip"},
        sampling={**published.sampling, "steps": steps, "guidance": GUIDANCE.get(layout.name, 1.0)},
    )  # fmt: skip
