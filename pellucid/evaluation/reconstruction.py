"""How much of the data a codec keeps."""

from collections.abc import Iterator
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.shapes import mean_per_sample
from pellucid.data.pack import Pack
from pellucid.model.model import Model

MOST = 512
"""Samples, spread over the data."""
BATCH, VALUES = 64, 2**20
"""Samples that are encoded at once, fewer where they hold more values than that."""
LEAST = 1e-10
"""Of a squared error; below it lies rounding."""


def reconstruction(model: Model, pack: Pack) -> float:
    """Peak signal-to-noise ratio of decoded latents in dB, the mean over samples of the pack."""
    with torch.no_grad():
        found = [psnr(model.codec.decode(z), x) for x, z in encoding(model, pack, pack.spread(MOST))]
    return round(float(torch.cat(found).mean()), 2)


def encoding(model: Model, pack: Pack, ids: NDArray[np.int64]) -> Iterator[tuple[Tensor, Tensor]]:
    """These samples in the model's range and their latents, batch by batch."""
    batch = max(1, min(BATCH, VALUES // prod(pack.shape)))
    for first in range(0, len(ids), batch):
        x = model.modality.decode(pack[ids[first : first + batch]][0]).to(model.device, model.dtype)
        with torch.no_grad():
            z = model.codec.encode(x)
        yield x, z


def psnr(rebuilt: Tensor, x: Tensor) -> Tensor:
    """10 log10(2² / mean squared error) of each sample in [-1, 1], to which `rebuilt` is clamped: (B, ...) -> (B,)."""
    error = mean_per_sample((rebuilt.double().clamp(-1, 1) - x.double()) ** 2)
    return 10 * torch.log10(4 / error.clamp(min=LEAST))
