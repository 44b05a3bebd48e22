"""A small unconditional pipeline with random weights, and its training by pellucid."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from resume import ROOT

from sides.search import FILE

SIDE, CHANNELS, GROUPS = 28, (16, 32, 96), 8
SETTINGS = (
    "training.rank=0", "training.batch=64", "training.warmup=2048", "optimiser.name=muon", "optimiser.learning_rate=0.005",
    "sampling.sampler.name=dpmpp", "sampling.steps=20", "sampling.grid.name=uniform",
)  # fmt: skip
"""Weights that are random want the rates of a first training; the first looks want a sampler of few steps."""


def write_pipeline(folder: Path) -> None:
    """A DDPMPipeline as diffusers writes it, with the linear table of 1,000 steps, that predicts v."""
    import diffusers

    build: Any = diffusers.UNet2DModel
    torch.manual_seed(0)
    network = build(
        sample_size=SIDE, in_channels=1, out_channels=1, block_out_channels=CHANNELS, layers_per_block=1,
        norm_num_groups=GROUPS, down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3,
    )  # fmt: skip
    scheduler: Any = diffusers.DDPMScheduler
    pipeline: Any = diffusers.DDPMPipeline
    pipeline(unet=network, scheduler=scheduler(prediction_type="v_prediction")).save_pretrained(folder)


def train_pipeline(folder: Path, data: Path, length: list[str]) -> int:
    """`pellucid train` from the pipeline in `folder`/random to `folder`/run; its exit code."""
    if not (folder / "random" / "model_index.json").is_file():
        write_pipeline(folder / "random")
    words = [str(data / FILE), "--from", str(folder / "random"), "--out", str(folder / "run"), "--condition", "none"]
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    command = [sys.executable, "-m", "pellucid", "train", *words, *length, *settings, "--resume"]
    return subprocess.run(command, cwd=ROOT, check=False).returncode
