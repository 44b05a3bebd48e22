"""How much of the data a codec keeps."""

import torch
from torch import Tensor

from pellucid.core.shapes import mean_per_sample
from pellucid.data.pack import Pack
from pellucid.model.model import Model

MOST, BATCH = 512, 64
"""Samples, spread over the data, and how many of them at once."""
LEAST = 1e-10
"""Of a squared error; below it lies rounding."""


def reconstruction(model: Model, pack: Pack) -> float:
    """Peak signal-to-noise ratio of decoded latents in dB, the mean over samples of the pack."""
    ids = pack.spread(MOST)
    found = []
    for first in range(0, len(ids), BATCH):
        x = model.modality.decode(pack[ids[first : first + BATCH]][0]).to(model.device, model.dtype)
        with torch.no_grad():
            found.append(psnr(model.codec.decode(model.codec.encode(x)), x))
    return round(float(torch.cat(found).mean()), 2)


def psnr(rebuilt: Tensor, x: Tensor) -> Tensor:
    """10 log10(2² / mean squared error) of each sample in [-1, 1], to which `rebuilt` is clamped: (B, ...) -> (B,)."""
    error = mean_per_sample((rebuilt.double().clamp(-1, 1) - x.double()) ** 2)
    return 10 * torch.log10(4 / error.clamp(min=LEAST))
