"""What a loss can be at best and at worst: that of whoever knows the training data by heart, and of a linear denoiser.

Both are in the measure of `held_out`. The first is of training samples, with E[x0 | x_t] over all of them (Karras et al.
2022, eq. 57): the nearer a model comes to it there, the more it knows them by heart. The second needs no training: of a
stationary process of spectrum S(f), by its own variance, the error of the Wiener filter is

    L = mean over λ of (e^λ + 1) mean over f, c of S / (1 + e^λ S)

with S the eigenvalues of the spectral matrix of the channels, around the mean of the data at each place. It tells how hard
data is before anything is learned of it. Of tokens that is their entropy one by one.
"""

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.random import Keyed
from pellucid.data.pack import Pack
from pellucid.evaluation.floor import exact_mean
from pellucid.evaluation.held_out import LEVELS, diffused, noised, squared_error
from pellucid.evaluation.levels import Pieces
from pellucid.model.model import Model
from pellucid.processes.continuous import Continuous

SPREAD = 2048
"""Samples, spread over the data, by which its spectrum is told."""
VALUES, LEAST = 2**25, 64
"""Of large samples fewer: so many values, and samples at least."""
CHANNELS = 32
"""That are told together; more are taken one by one."""


@torch.no_grad()
def by_heart(model: Model, pack: Pack, ids: NDArray[np.int64], *, seed: int, seconds: float) -> Tensor | None:
    """The least loss of these training samples (n,); None where it is not known: too much data for the time, noise that is
    not Gaussian, tokens, missing values, or conditions that are no labels.
    """
    facts, process = model.facts, model.denoiser.process
    if facts.categories or facts.missing or facts.captions or not process.gaussian:
        return None
    x0, labels = diffused(model, pack, ids)
    asked, names = list(noised(model, x0, Keyed(seed, ids))), torch.from_numpy(labels)
    x_t = torch.cat([one for one, _, _ in asked]).cpu()
    t = torch.stack([time.reshape(()) for _, time, _ in asked]).repeat_interleave(len(ids))
    pieces = Pieces(model, pack, seconds)
    schedule = Continuous.of(process).schedule
    exact, _ = exact_mean(x_t, t, schedule, pieces, names.repeat(len(asked)) if facts.labels else None)
    if not pieces.complete:
        return None
    rows = zip(exact.reshape(len(asked), *x0.shape), asked, strict=True)
    return torch.stack([weight * squared_error(model, mean, x0.cpu()) for mean, (_, _, weight) in rows]).mean(0)


def linear_loss(model: Model, pack: Pack) -> float:
    """Of a linear denoiser that is the same at every place."""
    return float(linear_losses(model, pack).mean())


@torch.no_grad()
def linear_losses(model: Model, pack: Pack) -> Tensor:
    """The same of single samples, (n,): of one whose spectrum is P, in the mean over noise,

    L = mean over λ of (e^λ + 1) mean over f, c of (P + e^λ S²) / (1 + e^λ S)²
    """
    x0, _ = diffused(model, pack, pack.spread(max(LEAST, min(SPREAD, VALUES // prod(pack.shape)))))
    if model.facts.categories:
        tokens = x0[:, :, model.modality.sourced :].flatten(1).cpu()
        counts = torch.bincount(tokens.flatten()).double()
        return -(counts / counts.sum()).log2()[tokens].mean(1)
    own = _powers(x0.cpu().float().nan_to_num(model.facts.mean)) / model.facts.std**2
    power, snr = own.mean(0).double(), LEVELS.exp()[:, None]
    shares = (snr + 1) / (1 + snr * power) ** 2 / power.numel()
    return (own @ shares.mean(0).to(own)).double() + (shares * snr * power**2).mean(0).sum()


def _powers(x0: Tensor) -> Tensor:
    """Of the parts that a linear filter tells apart, in each sample, their mean being that of x0: (n, parts)."""
    x = x0 - x0.mean(0)
    axes, size = tuple(range(2, x.ndim)), x[0, 0].numel()
    waves = torch.fft.fftn(x, dim=axes).flatten(2) / size**0.5
    if x.shape[1] <= CHANNELS:
        matrices = torch.einsum("ncf,ndf->fcd", waves, waves.conj()) / len(x)
        parts: Tensor = torch.linalg.eigh(matrices).eigenvectors  # of column e, part e is its product with the channels
        waves = torch.einsum("fce,ncf->nef", parts.conj(), waves)
    powers: Tensor = waves.abs().square().flatten(1)
    return powers
