"""A model as a folder that diffusers loads, and whose pictures are then the same."""

from dataclasses import replace
from pathlib import Path
from shutil import copy2
from typing import Any

import torch
from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.core.errors import UnsupportedError
from pellucid.core.library import library
from pellucid.core.random import Keyed
from pellucid.core.reason import reason
from pellucid.interop.borrowed import Borrowed
from pellucid.interop.clip_text import ClipText
from pellucid.interop.layout import PICKLES, VARIANT, Layout
from pellucid.interop.native import STABLE
from pellucid.interop.onnx_export import relative
from pellucid.interop.onnx_step import PROMPTS
from pellucid.interop.pretrained import Pretrained
from pellucid.interop.published import Published
from pellucid.model.model import Model

BASE = "BASE.md"
"""The card of the pipeline that a model came from, with its terms."""
STEPS, GUIDANCE, TOLERANCE = 3, 3.0, 1e-4
"""Of the trajectory that is compared; the greatest difference, relative to the greatest value."""


def export_diffusers(model: Model, folder: Path, seed: int = 0) -> float:
    """Write the whole folder: components as they are now, everything in safetensors and in float32 or as it was.

    Returns:
        The greatest difference of a trajectory by diffusers from ours, relative to the greatest value.

    Raises:
        UnsupportedError: a network of ours; or diffusers cannot load the folder, or answers otherwise.
    """
    if not isinstance(model, Borrowed) or not isinstance(model.denoiser, Pretrained):
        kind = type(getattr(model.denoiser, "network", model.denoiser)).__name__
        raise UnsupportedError(f"The network is a {kind} of ours, which diffusers does not have: expected a pipeline of "
                               "diffusers, or a model trained from one. For other programs there is --format onnx")
    _copy(model.layout, folder)
    with library("diffusers") as diffusers:
        model.denoiser.network.save_pretrained(folder / "unet", safe_serialization=True)
        text = model.conditioners.get("caption")
        for end, encoder in zip(("", "_2"), text.encoders if isinstance(text, ClipText) else (), strict=False):
            encoder.save_pretrained(folder / f"text_encoder{end}", safe_serialization=True)
        try:
            pipeline = diffusers.DiffusionPipeline.from_pretrained(folder, use_safetensors=True, local_files_only=True)
        except Exception as error:  # any that a library of many has
            raise UnsupportedError(f"diffusers cannot load what was written: {reason(error)}. Nothing is kept") from None
        pipeline.set_progress_bar_config(disable=True)
        difference = _Trajectory(model, pipeline, diffusers, seed).difference()
    if not difference <= TOLERANCE:
        raise UnsupportedError(f"diffusers makes other pictures of what was written: they differ by {difference:.1g} of the "
                               f"largest value, more than {TOLERANCE:g}. Nothing is kept; please report it")  # fmt: skip
    return difference


def _copy(layout: Layout, folder: Path) -> None:
    """The components as they were, but for the network, by the names that diffusers looks for first, and what is said of
    them; no pickles.
    """
    for file in sorted(file for file in layout.folder.rglob("*") if file.is_file()):
        place = file.relative_to(layout.folder)
        part, *rest = place.parts
        wanted = part in layout.parts and part != "unet" if rest else file.suffix != ".safetensors"
        if wanted and file.suffix.lower() not in PICKLES:
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            name = BASE if place == Path("README.md") else place.name.replace(f".{VARIANT}.", ".")
            copy2(file, folder / place.with_name(name))


class _Trajectory:
    """A few steps of DDIM from the same noise, by the pipeline that was written and by the model."""

    def __init__(self, model: Borrowed, pipeline: Any, diffusers: Any, seed: int) -> None:
        self.model, self.pipeline, self.diffusers, self.seed = model, pipeline, diffusers, seed
        known = {"clip_sample": False, "timestep_spacing": "leading", "steps_offset": 1, "set_alpha_to_one": False}
        self.table = diffusers.DDIMScheduler.from_config(pipeline.scheduler.config, **known)

    @torch.no_grad()
    def difference(self) -> float:
        """The greatest, of what is diffused and of the pictures."""
        model = self.model
        shape = model.codec.latent_shape(model.facts.shape)
        facts = model.facts.model_copy(update={"shape": shape})
        bare = replace(model, codec=Identity(), facts=facts)
        told = model.layout.name in STABLE
        assert isinstance(model.denoiser, Pretrained)
        clip, model.denoiser.clip = model.denoiser.clip, None
        try:
            asked: dict[str, Any] = {"prompt": PROMPTS[0], "guidance": GUIDANCE} if told else {}
            ours = bare.sample(1, steps=STEPS, seed=self.seed, **Published.of(self.table).sampling, **asked).data
        finally:
            model.denoiser.clip = clip
        start = Keyed(self.seed, [0]).normal("prior", 0, shape).float()
        theirs = self._stable(start) if told else self._plain(start)
        return max(relative(theirs, ours), relative(self._decoded(theirs), model.codec.decode(theirs)))

    def _stable(self, start: Tensor) -> Tensor:
        self.pipeline.scheduler = self.table
        found: Tensor = self.pipeline(
            PROMPTS[0], latents=start, guidance_scale=GUIDANCE, num_inference_steps=STEPS, output_type="latent"
        ).images
        return found

    def _plain(self, x: Tensor) -> Tensor:
        """Pipelines without words take no noise: their loop."""
        self.table.set_timesteps(STEPS)
        for k in self.table.timesteps:
            x = self.table.step(self.pipeline.unet(x, k).sample, k, x).prev_sample
        return x

    def _decoded(self, z: Tensor) -> Tensor:
        """Pictures, by the autoencoder of the pipeline, if it has one."""
        network = getattr(self.pipeline, "vae", None) or getattr(self.pipeline, "vqvae", None)
        if network is None:
            return z
        config = network.config
        mean, spread = config.get("latents_mean"), config.get("latents_std")
        if mean and spread:
            columns = [torch.tensor(one).reshape(1, -1, 1, 1) for one in (mean, spread)]
            latent = z * columns[1] / config.scaling_factor + columns[0]
        else:
            latent = z / config.scaling_factor + (config.get("shift_factor") or 0)
        picture: Tensor = network.decode(latent).sample
        return picture
