"""Folders in the layout of diffusers give the pictures that diffusers itself makes of them, from the same noise.

The networks are small and random, the tables, grids, samplers and guidance those of published models. Latents and decoded
pictures are compared, all within 1e-4.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

import pellucid
from pellucid.codecs.identity import Identity
from pellucid.core.random import Keyed
from tiny_pipelines import STABLE, stable_diffusion, stable_diffusion_xl

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
BOUND = 1e-4
PROMPTS = ["a red cat, on a mat", "sun"]
LEADING = {**STABLE, "timestep_spacing": "leading", "steps_offset": 1}
PEERS: dict[str, Callable[[], Any]] = {
    "ddim": lambda: diffusers.DDIMScheduler(**LEADING, clip_sample=False, set_alpha_to_one=False),
    "ddim-v": lambda: diffusers.DDIMScheduler(
        **{**LEADING, "timestep_spacing": "trailing"}, clip_sample=False, prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    ),
    "ddim-sample": lambda: diffusers.DDIMScheduler(**LEADING, clip_sample=False, prediction_type="sample"),
    "euler": lambda: diffusers.EulerDiscreteScheduler(**LEADING),
    "dpmpp": lambda: diffusers.DPMSolverMultistepScheduler(**LEADING),
    "dpmpp-linspace": lambda: diffusers.DPMSolverMultistepScheduler(
        **{**LEADING, "timestep_spacing": "linspace"}, final_sigmas_type="sigma_min"
    ),
    "unipc": lambda: diffusers.UniPCMultistepScheduler(**LEADING),
    "unipc-v": lambda: diffusers.UniPCMultistepScheduler(**LEADING, prediction_type="v_prediction", solver_order=3),
}
"""Scheduler of diffusers by the name of our sampler, with what it needs to be told where it does not do so by itself."""


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


def opened(name: str, folder: Path) -> Any:
    pipeline = getattr(diffusers, name).from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def assert_same(ours: Tensor, theirs: Tensor) -> None:
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours, theirs, rtol=0, atol=BOUND)


def compare(folder: Path, kind: str, steps: int, **settings: Any) -> None:
    """Latents of the model against those of the pipeline, and the pictures that they are."""
    model, peer = pellucid.load(folder), opened(kind, folder)
    shape = model.codec.latent_shape(model.facts.shape)
    bare = replace(model, codec=Identity(), facts=model.facts.model_copy(update={"shape": shape}))
    ours = bare.sample(2, prompt=PROMPTS, guidance=7.5, steps=steps, seed=3, **settings).data
    start = Keyed(3, [0, 1]).normal("prior", 0, shape).float()
    asked = {"num_inference_steps": steps, "guidance_scale": 7.5, "negative_prompt": settings.get("negative")}
    theirs = peer(PROMPTS, latents=start, output_type="latent", **asked).images
    assert_same(ours, theirs)
    assert_same(model.codec.decode(ours), peer.vae.decode(theirs / peer.vae.config.scaling_factor).sample)


@pytest.mark.parametrize("name", PEERS)
def test_stable_diffusion(name: str, tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path, PEERS[name]())
    compare(folder, "StableDiffusionPipeline", 50 if name == "ddim" else 20)


@pytest.mark.parametrize("name", ["ddim", "euler", "dpmpp", "unipc"])
def test_stable_diffusion_xl(name: str, tmp_path: Path) -> None:
    folder = stable_diffusion_xl(tmp_path, PEERS[name]())
    compare(folder, "StableDiffusionXLPipeline", 20)
