"""Folders in the layout of diffusers with small random networks and a vocabulary of letters: nothing is fetched."""

from pathlib import Path
from shutil import rmtree
from string import ascii_lowercase
from typing import Any

import diffusers
import torch
import transformers

STABLE: dict[str, Any] = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
"""Stable Diffusion's table."""
SIDE = 16
"""Of the pictures, twice that of the latents."""


def stable_diffusion(folder: Path, peer: Any, told_guidance: int | None = None) -> Path:
    """A StableDiffusionPipeline with this scheduler; its network may be told the guidance, in so many numbers."""
    torch.manual_seed(0)
    return save(diffusers.StableDiffusionPipeline(
        vae=_autoencoder(), text_encoder=transformers.CLIPTextModel(text_config()), tokenizer=tokenizer(),
        unet=_unet(cross_attention_dim=32, time_cond_proj_dim=told_guidance), scheduler=peer, safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ), folder)  # fmt: skip


def stable_diffusion_xl(folder: Path, peer: Any) -> Path:
    """A StableDiffusionXLPipeline: two text encoders, the second with a projection; its tokenizer fills up with "!"."""
    torch.manual_seed(1)
    return save(diffusers.StableDiffusionXLPipeline(
        vae=_autoencoder(), text_encoder=transformers.CLIPTextModel(text_config()), tokenizer=tokenizer(),
        text_encoder_2=transformers.CLIPTextModelWithProjection(text_config(hidden_act="gelu")),
        tokenizer_2=tokenizer(pad_token="!"), scheduler=peer,
        unet=_unet(
            cross_attention_dim=64, addition_embed_type="text_time", addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=32 + 6 * 8,
        ),
    ), folder)  # fmt: skip


def unconditional(folder: Path, peer: Any) -> Path:
    """A DDIMPipeline, whose pictures are of nothing in particular."""
    torch.manual_seed(2)
    network = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"), up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    return save(diffusers.DDIMPipeline(unet=network, scheduler=peer), folder)


def latent_diffusion(folder: Path, peer: Any) -> Path:
    """An LDMPipeline: no words, latents of an autoencoder with a book of codes."""
    torch.manual_seed(3)
    network = diffusers.UNet2DModel(
        sample_size=8, block_out_channels=(32, 32), layers_per_block=1, norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    codes = diffusers.VQModel(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, norm_num_groups=8, num_vq_embeddings=64,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=3,
    )  # fmt: skip
    return save(diffusers.LDMPipeline(vqvae=codes, unet=network, scheduler=peer), folder)


def latent_consistency(folder: Path) -> Path:
    """A LatentConsistencyModelPipeline: a pipeline of a kind that we have not, whose network is told the guidance."""
    whole = stable_diffusion(folder, diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False), told_guidance=8)
    parts = diffusers.StableDiffusionPipeline.from_pretrained(whole).components
    rmtree(whole)
    parts["scheduler"] = diffusers.LCMScheduler(**STABLE)
    return save(diffusers.LatentConsistencyModelPipeline(**parts, requires_safety_checker=False), folder)


def save(pipeline: Any, folder: Path) -> Path:
    """As diffusers writes it."""
    for talker in (diffusers.utils.logging, transformers.utils.logging):
        talker.disable_progress_bar()
    pipeline.save_pretrained(folder)
    return folder


def _unet(**settings: Any) -> Any:
    return diffusers.UNet2DConditionModel(
        sample_size=SIDE // 2, block_out_channels=(32, 32), layers_per_block=1, attention_head_dim=2, norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        **settings,
    )  # fmt: skip


def _autoencoder() -> Any:
    return diffusers.AutoencoderKL(
        block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, norm_num_groups=8,
        up_block_types=("UpDecoderBlock2D",) * 2, latent_channels=4, sample_size=SIDE,
    )  # fmt: skip


def text_config(**settings: Any) -> Any:
    """Of a CLIP."""
    return transformers.CLIPTextConfig(
        vocab_size=len(_vocabulary()), hidden_size=32, intermediate_size=37, num_attention_heads=4, num_hidden_layers=3,
        projection_dim=32, bos_token_id=0, eos_token_id=1, pad_token_id=1, **settings,
    )  # fmt: skip


def _vocabulary() -> dict[str, int]:
    letters = [*ascii_lowercase, *"!,()."]
    words = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{letter}</w>" for letter in letters)]
    return {word: number for number, word in enumerate(words)}


def tokenizer(**settings: Any) -> Any:
    """Of a CLIP, whose words are letters."""
    return transformers.CLIPTokenizer(vocab=_vocabulary(), merges=[], model_max_length=77, **settings)
