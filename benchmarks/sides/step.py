"""Seconds per denoising step of one large network, by diffusers, by ours and by ours with each engine, in turn.

Every call draws a latent under guidance, which makes a batch of two for the network, with DDIM on Stable Diffusion's table.
A step's time runs from the end of the step before it, so what comes before the first step is in none. The network and its
weights are one and the same object in each precision; engines alone have copies of their own.
"""

from collections.abc import Callable
from itertools import pairwise
from time import perf_counter
from typing import Any

import torch
from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.core.random import Keyed
from pellucid.interop.engine import Kind, accelerate
from pellucid.interop.pretrained import Pretrained
from pellucid.interop.published import Published
from pellucid.modalities.image import Image
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model

SIZES: dict[str, dict[str, Any]] = {
    "sd": {"sample_size": 64, "cross_attention_dim": 768},
    "tiny": {
        "sample_size": 16, "cross_attention_dim": 32, "block_out_channels": (32, 64), "layers_per_block": 1,
        "norm_num_groups": 8, "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
}  # fmt: skip
"""Settings of a UNet2DConditionModel: Stable Diffusion 1's, and one to try the benchmark with."""
LENGTH, GUIDANCE = 77, 7.5
ENGINES: dict[str, Kind] = {"packed": "packed", "onnx": "onnx"}
NAMES = ("diffusers", "ours", "packed", "onnx", "diffusers, half", "ours, half", "packed, half")
PRECISIONS = {"": torch.float32, "half": torch.bfloat16}
Draw = Callable[[int, int], tuple[list[float], Tensor]]
"""(steps, seed) -> the seconds of every step but the first, and the latent."""


class Known(Conditioner):
    """The tokens of one text and of nothing, which need no reader."""

    def __init__(self, text: Tensor, nothing: Tensor) -> None:
        super().__init__()
        self.text, self.nothing = text, nothing

    def forward(self, value: Tensor) -> Embedded:
        return Embedded(value.new_zeros(len(value), 0), value)

    def null(self, count: int) -> Tensor:
        return self.nothing.expand(count, -1, -1)

    def parse(self, value: Any, count: int) -> Tensor:  # noqa: ARG002
        return self.text.expand(count, -1, -1)


def build_network(size: str) -> Any:
    """With random weights, in inference mode."""
    import diffusers

    build: Any = diffusers.UNet2DConditionModel
    torch.manual_seed(0)
    return build(**SIZES[size]).eval().requires_grad_(False)


def contenders(size: str, names: list[str]) -> tuple[dict[str, Draw], dict[str, dict[str, float]]]:
    """Those of these names, and what engines change: the greatest difference to torch, and the seconds of preparing them."""
    import diffusers

    scheduler: Any = diffusers.DDIMScheduler
    peer = scheduler(
        beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, steps_offset=1, clip_sample=False,
        set_alpha_to_one=False,
    )  # fmt: skip
    found: dict[str, Draw] = {}
    gains: dict[str, dict[str, float]] = {}
    wanted = sorted({_half(name) for name in names})
    networks = {half: build_network(size).to(PRECISIONS[half]) for half in wanted}
    for name in names:
        network = networks[_half(name)]
        width = network.config.cross_attention_dim
        text, nothing = torch.randn(2, 1, LENGTH, width, generator=torch.Generator().manual_seed(1))
        if name.startswith("diffusers"):
            found[name] = theirs(network, peer, text.to(network.dtype), nothing.to(network.dtype))
            continue
        model = _model(network, peer, text, nothing)
        if (engine := ENGINES.get(name.partition(", ")[0])) is not None:
            began, gain = perf_counter(), accelerate(model, engine, rows=2)
            assert gain is not None
            gains[name] = {"difference": gain.difference, "preparing": perf_counter() - began}
        found[name] = ours(model)
    return found, gains


def _half(name: str) -> str:
    return name.partition(", ")[2]


def theirs(network: Any, scheduler: Any, text: Tensor, nothing: Tensor) -> Draw:
    """A StableDiffusionPipeline that is given what its text encoder would say, and stops before its autoencoder."""
    import diffusers

    build: Any = diffusers.StableDiffusionPipeline
    pipeline = build(
        unet=network, scheduler=scheduler, vae=None, text_encoder=None, tokenizer=None, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    pipeline.set_progress_bar_config(disable=True)

    def draw(steps: int, seed: int) -> tuple[list[float], Tensor]:
        ends: list[float] = []

        def after(_pipeline: Any, _step: int, _time: Any, kept: dict[str, Any]) -> dict[str, Any]:
            ends.append(perf_counter())
            return kept

        latents = pipeline(
            prompt_embeds=text, negative_prompt_embeds=nothing, latents=_noise(network, seed).to(network.dtype),
            num_inference_steps=steps, guidance_scale=GUIDANCE, output_type="latent", callback_on_step_end=after,
        ).images  # fmt: skip
        return _gaps(ends), latents

    return draw


def ours(model: Model) -> Draw:
    """The model's own sampling, the network's answers under classifier-free guidance."""

    def draw(steps: int, seed: int) -> tuple[list[float], Tensor]:
        ends: list[float] = []
        made = model.sample(1, prompt="known", steps=steps, seed=seed, progress=lambda *_: ends.append(perf_counter()))
        return _gaps(ends), made.data

    return draw


def _model(network: Any, scheduler: Any, text: Tensor, nothing: Tensor) -> Model:
    """What `pellucid.load` makes of a folder with these components."""
    published, side = Published.of(scheduler), network.config.sample_size
    config = ModelConfig(sampling={**published.sampling, "guidance": GUIDANCE})
    denoiser = Pretrained(
        table=published.table, network=network, prediction=published.prediction,
        conditioners={"caption": Known(text, nothing)},
    )  # fmt: skip
    facts = Facts(shape=(network.config.in_channels, side, side), captions=True, std=1.0)
    return Model(config, facts, denoiser.eval(), Identity(), Image())


def _noise(network: Any, seed: int) -> Tensor:
    """That our sampling starts from."""
    side = network.config.sample_size
    return Keyed(seed, [0]).normal("prior", 0, (network.config.in_channels, side, side)).float()


def _gaps(ends: list[float]) -> list[float]:
    return [end - start for start, end in pairwise(ends)]


def measure(size: str, names: list[str], *, rounds: int, steps: int) -> dict[str, Any]:
    """Everybody in turn, each once before the rounds: seconds of each step by round, and how far the latents are apart."""
    field, gains = contenders(size, names)
    seconds: dict[str, list[list[float]]] = {name: [] for name in field}
    latents: dict[str, Tensor] = {}
    for turn in range(1 + rounds):
        for name, draw in field.items():
            found, latents[name] = draw(steps, 0)
            print(turn, name, *(f"{value:.3f}" for value in found), flush=True)
            if turn:
                seconds[name].append(found)
    first, *others = (latent for name, latent in latents.items() if not _half(name))
    apart = [float((latent - first).abs().max() / first.abs().max()) for latent in others]
    parameters = sum(parameter.numel() for parameter in build_network(size).parameters())
    return {
        "size": size, "parameters": parameters, "threads": torch.get_num_threads(), "seconds": seconds, "gains": gains,
        "apart": max(apart, default=0.0),
    }  # fmt: skip
