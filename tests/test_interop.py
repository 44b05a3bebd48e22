"""Folders in the layout of diffusers give the pictures that diffusers itself makes of them, from the same noise.

The networks are small and random, the tables, grids, samplers and guidance those of published models. Latents and decoded
pictures are compared, all within 1e-4.
"""

import json
import sys
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
from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Keyed
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.model.assemble import assemble_sampler
from pellucid.model.start import Start
from pellucid.processes.process import Process
from pellucid.samplers.sampler import Callback, Progress
from tiny_pipelines import STABLE, latent_diffusion, stable_diffusion, stable_diffusion_xl, unconditional

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
BOUND = 1e-4
PROMPTS = ["a red cat, on a mat", "sun"]
LEADING = {**STABLE, "timestep_spacing": "leading", "steps_offset": 1}
LINSPACE = {**LEADING, "timestep_spacing": "linspace"}
PEERS: dict[str, Callable[[], Any]] = {
    "ddim": lambda: diffusers.DDIMScheduler(**LEADING, clip_sample=False, set_alpha_to_one=False),
    "ddim-v": lambda: diffusers.DDIMScheduler(
        **{**LEADING, "timestep_spacing": "trailing"}, clip_sample=False, prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
    ),
    "ddim-sample": lambda: diffusers.DDIMScheduler(**LEADING, clip_sample=False, prediction_type="sample"),
    "euler": lambda: diffusers.EulerDiscreteScheduler(**LEADING),
    "euler-trailing": lambda: diffusers.EulerDiscreteScheduler(**{**LEADING, "timestep_spacing": "trailing"}),
    "euler-karras": lambda: diffusers.EulerDiscreteScheduler(**LINSPACE, use_karras_sigmas=True),
    "euler-exponential": lambda: diffusers.EulerDiscreteScheduler(**LINSPACE, use_exponential_sigmas=True),
    "dpmpp": lambda: diffusers.DPMSolverMultistepScheduler(**LEADING),
    "dpmpp-linspace": lambda: diffusers.DPMSolverMultistepScheduler(**LINSPACE, final_sigmas_type="sigma_min"),
    "dpmpp-karras": lambda: diffusers.DPMSolverMultistepScheduler(**LEADING, use_karras_sigmas=True),
    "unipc": lambda: diffusers.UniPCMultistepScheduler(**LEADING),
    "unipc-v": lambda: diffusers.UniPCMultistepScheduler(**LEADING, prediction_type="v_prediction", solver_order=3),
}
"""What diffusers calls a scheduler, by the name of our sampler."""


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
    away = [settings["negative"]] * 2 if "negative" in settings else None
    asked = {"num_inference_steps": steps, "guidance_scale": 7.5, "negative_prompt": away}
    peer.scheduler.set_timesteps(steps)
    if isinstance(peer.scheduler, diffusers.EulerDiscreteScheduler):  # which may start from noise without the data's share
        start *= float(peer.scheduler.sigmas[0] ** 2 + 1) ** 0.5 / float(peer.scheduler.init_noise_sigma)
    theirs = peer(PROMPTS, latents=start, output_type="latent", **asked).images
    assert_same(ours, theirs)
    assert_same(model.codec.decode(ours), peer.vae.decode(theirs / peer.vae.config.scaling_factor).sample)


@pytest.mark.parametrize("name", PEERS)
def test_stable_diffusion(name: str, tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path, PEERS[name]())
    compare(folder, "StableDiffusionPipeline", {"ddim": 50, "dpmpp-linspace": 16}.get(name, 10))


@pytest.mark.parametrize("name", ["ddim", "euler", "dpmpp", "unipc"])
def test_stable_diffusion_xl(name: str, tmp_path: Path) -> None:
    folder = stable_diffusion_xl(tmp_path, PEERS[name]())
    compare(folder, "StableDiffusionXLPipeline", 8)


@pytest.mark.parametrize("kind", ["StableDiffusionPipeline", "StableDiffusionXLPipeline"])
def test_a_negative_prompt(kind: str, tmp_path: Path) -> None:
    """Without one SDXL leads away from zero, with one from its words; Stable Diffusion from the empty text."""
    make = stable_diffusion if kind == "StableDiffusionPipeline" else stable_diffusion_xl
    compare(make(tmp_path, PEERS["ddim"]()), kind, 4, negative="dim, out of the frame")


@pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning")
def test_an_old_folder_is_corrected_as_diffusers_does(tmp_path: Path) -> None:
    """Tables without the offset, and with latents clipped, stand in folders that must not be read so."""
    folder = stable_diffusion(tmp_path, diffusers.DDIMScheduler(**STABLE))
    config = folder / "scheduler" / "scheduler_config.json"
    old = {**json.loads(config.read_text()), "steps_offset": 0, "clip_sample": True}
    config.write_text(json.dumps(old))
    compare(folder, "StableDiffusionPipeline", 4)


def test_pictures_of_nothing_in_particular(tmp_path: Path) -> None:
    """A table of pixels, x0 clipped at each step; in diffusers eps follows the clipped x0 only if it is told to."""
    folder = unconditional(tmp_path, diffusers.DDIMScheduler(beta_end=0.02, clip_sample_range=0.5))
    model, peer = pellucid.load(folder), opened("DDIMPipeline", folder)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(2, 3, 8, 8, generator=generator)
    generator.manual_seed(5)
    theirs = peer(batch_size=2, generator=generator, output_type="pt", use_clipped_model_output=True).images
    sampler, grid = assemble_sampler(model.sampling(), model.denoiser.process.schedule)
    ours = sampler.sample(model.denoiser, x, grid(model.denoiser.process.schedule, 50))
    assert float(ours.abs().max()) == 0.5
    assert_same((ours / 2 + 0.5), theirs)
    with pytest.raises(UnsupportedError, match="trained without captions"):
        model.generate("a cat")


def test_latents_of_a_book_of_codes(tmp_path: Path) -> None:
    """LDM: the table of pixels, latents scaled, decoded to the nearest codes."""
    folder = latent_diffusion(tmp_path, diffusers.DDIMScheduler(**LEADING, clip_sample=False, set_alpha_to_one=False))
    model, peer = pellucid.load(folder), opened("LDMPipeline", folder)
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5))
    theirs = peer(generator=torch.Generator().manual_seed(5), num_inference_steps=10, output_type="np").images
    sampler, grid = assemble_sampler(model.sampling(), model.denoiser.process.schedule)
    ours = model.codec.decode(sampler.sample(model.denoiser, x, grid(model.denoiser.process.schedule, 10)))
    assert_same((ours / 2 + 0.5).clamp(0, 1), torch.from_numpy(theirs).movedim(-1, 1))
    assert model.sample(1, steps=2).data.shape == (1, 3, 16, 16)


# from a picture ------------------------------------------------------------------------------------------------------------

EDITED = ["ddim", "euler", "dpmpp", "unipc"]
STEPS = 10


class Edit:
    """What editing a picture takes: a model, its guided denoiser, a pipeline, a latent z, noise and a grid of times."""

    def __init__(self, name: str, folder: Path, kind: str) -> None:
        self.model = pellucid.load(stable_diffusion(folder, PEERS[name]()))
        whole = opened("StableDiffusionPipeline", folder)
        self.peer = getattr(diffusers, kind)(**whole.components, requires_safety_checker=False)
        self.peer.set_progress_bar_config(disable=True)
        self.sampler, grid = assemble_sampler(self.model.sampling(), self.process.schedule)
        self.times = grid(self.process.schedule, STEPS)
        self.z, self.noise = torch.randn(2, 2, 4, 8, 8, generator=torch.Generator().manual_seed(1))

    @property
    def process(self) -> Process:
        return self.model.denoiser.process

    def run(self, first: int, x: Tensor, callback: Callback | None = None) -> Tensor:
        """From x at the time of step `first`."""
        denoiser, cond = self.model.denoiser, {"caption": self.model.conditioners["caption"].parse(PROMPTS, 2)}
        guided = ClassifierFree(denoiser, 7.5)
        return self.sampler.sample(guided, x, self.times[first:], cond=cond, callback=callback)

    def theirs(self, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Tensor:
        """What the pipeline makes of the latent, in as many steps, with the same noise."""
        module = sys.modules[type(self.peer).__module__]
        monkeypatch.setattr(module, "randn_tensor", lambda *_, **__: self.noise)
        asked = {"num_inference_steps": STEPS, "guidance_scale": 7.5, "output_type": "latent", **settings}
        found: Tensor = self.peer(PROMPTS, image=self.z, **asked).images
        return found


@pytest.mark.parametrize("strength", [0.3, 0.75])
@pytest.mark.parametrize("name", EDITED)
def test_image_to_image(name: str, strength: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strength is the share of the steps that are taken, from the picture corrupted to where they begin."""
    case = Edit(name, tmp_path, "StableDiffusionImg2ImgPipeline")
    first = STEPS - int(STEPS * strength)
    ours = case.run(first, case.process.corrupt(case.z, case.times[first], case.noise))
    assert_same(ours, case.theirs(monkeypatch, strength=strength))


def test_image_to_image_from_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with all that is ours: `Start` on a picture, through the codec and back."""
    case = Edit("ddim", tmp_path, "StableDiffusionImg2ImgPipeline")
    x0 = 2 * torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2)) - 1
    case.z, case.noise = case.model.codec.encode(x0), Keyed(0, [0, 1]).normal("prior", 0, (4, 8, 8)).float()
    start = Start(x0=x0, strength=0.5)
    ours = case.model.sample(2, prompt=PROMPTS, guidance=7.5, steps=STEPS, start=start).data
    assert_same(ours, case.model.codec.decode(case.theirs(monkeypatch, strength=0.5)))


@pytest.mark.parametrize("name", EDITED)
def test_inpainting(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After each step what is known is put back, corrupted to the new time by the same noise; clean after the last."""
    case = Edit(name, tmp_path, "StableDiffusionInpaintPipeline")
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 4:12, 6:16] = 1
    hole = mask[..., ::2, ::2]

    def put_back(now: Progress) -> None:
        time = torch.tensor(now.t if now.step < now.steps else 0.0)
        now.x.copy_(hole * now.x + (1 - hole) * case.process.corrupt(case.z, time, case.noise))

    ours = case.run(2, case.process.corrupt(case.z, case.times[2], case.noise), put_back)
    theirs = case.theirs(monkeypatch, strength=0.8, mask_image=mask, masked_image_latents=case.z, height=16, width=16)
    assert_same(ours, theirs)
    assert_same(ours * (1 - hole), case.z * (1 - hole))
