"""How well a model does on data that it was not trained on, by a measure that no setting moves.

A training loss depends on weighting, times, prediction and schedule, so between runs that differ in them it says nothing.
What is compared is the error of the clean data at noise that is the same for all. Of values, with d the data's variance,

    L = mean over λ of E (SNR + 1/d) |D(x_t, t, cond) - x0|²,    λ = log(d SNR) = -4.5, -3.5, ..., 5.5

per element. (SNR + 1/d)⁻¹ is the error of the best denoiser that knows mean and variance alone, so every level counts in
units of what is hard there, and L lies between 0 and 1 for whoever does better. It is the weight of Karras et al. 2022,
table 1, and these are the levels at which 95% of their training takes place: beyond, data is all noise, or noise that hardly
shows. Of tokens L is the negative ELBO in bits per token, at stratified times (see `token_elbo`), which bounds the same
quantity whatever the schedule and the process.

Samples, noise and times are keyed by the seed and the sample, so they are the same in every run: what differs between two
of them is known far better than either.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.conditioners.reader import Reader
from pellucid.core.random import Keyed
from pellucid.data.pack import Pack
from pellucid.denoisers.denoiser import Cond
from pellucid.evaluation.likelihood import token_elbo
from pellucid.model.config import Section
from pellucid.model.model import Model
from pellucid.processes.continuous import Continuous

LEVELS = torch.arange(-4.5, 6, dtype=torch.float64)
"""log(d SNR), a natural logarithm."""
CHUNK = 64
"""Samples at a time."""


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """`held_out(model, ids)` -> L of each of these samples of the pack, (n,) float64; ids are all unless given."""

    pack: Pack
    seed: int

    @torch.no_grad()
    def __call__(self, model: Model, ids: NDArray[np.int64] | None = None) -> Tensor:
        all_ids = np.arange(len(self.pack)) if ids is None else ids
        found = []
        for first in range(0, len(all_ids), CHUNK):
            some = all_ids[first : first + CHUNK]
            x0, labels = diffused(model, self.pack, some)
            found.append(loss_of(model, x0, self._cond(model, some, labels), Keyed(self.seed, some)))
        return torch.cat(found)

    def _cond(self, model: Model, ids: NDArray[np.int64], labels: NDArray[np.int64]) -> Cond:
        """What each sample is: its label, its first caption. Labels that are unknown to the model ask for nothing."""
        cond: dict[str, Tensor] = {}
        known = {name: index for index, name in enumerate(model.facts.labels)}
        if known:
            names = (self.pack.label_names[label] if label >= 0 else "" for label in labels.tolist())
            cond["label"] = torch.tensor([known.get(name, len(known)) for name in names])
        caption = model.conditioners.get("caption")
        if isinstance(caption, Reader):
            cond["caption"] = caption.encode([(*self.pack.captions(sample), "")[0] for sample in ids.tolist()])
        return cond


def diffused(model: Model, pack: Pack, ids: NDArray[np.int64]) -> tuple[Tensor, NDArray[np.int64]]:
    """What is diffused of samples (B, C, *space), and their labels (B,)."""
    stored, labels = pack[ids]
    x = model.modality.decode(stored)
    return model.codec.encode(x.to(model.device, model.dtype if x.is_floating_point() else None)), labels


def measurable(model: Model) -> bool:
    """Whether there is such a loss of a model: one of tokens, or of a mean."""
    return bool(model.facts.categories) or "mean" in model.denoiser.offers


def unit_of(denoiser: Section) -> str:
    """What the loss is, in words, of a model with this section of its configuration."""
    if denoiser.get("name") == "categorical":
        return "bits per token"
    return "the squared error over all noise levels, 1 for who knows mean and variance alone"


@torch.no_grad()
def loss_of(model: Model, x0: Tensor, cond: Cond, draws: Keyed) -> Tensor:
    """L of what is diffused, (n,) float64."""
    return (token_loss if model.facts.categories else value_loss)(model, x0, cond, draws).cpu()


def value_loss(model: Model, x0: Tensor, cond: Cond, draws: Keyed) -> Tensor:
    """L of values (B, C, *space), NaN where one is missing, which then does not count."""
    total = torch.zeros(len(x0), dtype=torch.float64)
    for x_t, t, weight in noised(model, x0, draws):
        total += weight * squared_error(model, model.denoiser(x_t, t, cond).mean, x0)
    return total / len(LEVELS)


def noised(model: Model, x0: Tensor, draws: Keyed) -> Iterator[tuple[Tensor, Tensor, float]]:
    """At each level: x_t, t, and what the squared error counts there."""
    process, variance = Continuous.of(model.denoiser.process), model.facts.std**2
    x0 = x0.nan_to_num(0)
    for number, level in enumerate(LEVELS):
        t = process.snap(process.schedule.time_at(level - log(variance)))
        alpha, sigma = process.schedule.alpha(t), process.schedule.sigma(t)
        # the noise is as asked for where a schedule does not reach so far, too; chains have levels of their own
        ratio = (variance / level.exp()).sqrt() if process.gaussian else sigma / alpha
        eps = process.noise(draws, "held out", number, x0.shape[1:], t).to(x0)
        yield alpha.to(x0) * (x0 + ratio.to(x0) * eps), t, float(ratio) ** -2 + 1 / variance


def squared_error(model: Model, mean: Tensor, x0: Tensor) -> Tensor:
    """Per element of x0 that is not missing, as far as it matters: (B,)."""
    weights = x0.isfinite().double()
    if isinstance(model.codec, Identity):
        importance, scales = model.modality.importance, model.modality.scales
        weights = weights if importance is None else weights * importance.to(weights)
        weights = weights if scales is None else weights / scales.to(weights) ** 2
    squares = weights * (mean - x0.nan_to_num(0)).double() ** 2
    return (squares.flatten(1).sum(1) / weights.flatten(1).sum(1).clamp(min=1)).cpu()


def token_loss(model: Model, x0: Tensor, cond: Cond, draws: Keyed) -> Tensor:
    """L of tokens (B, 1, L), of those that are not given."""
    given = model.modality.sourced
    nats = -token_elbo(model.denoiser, x0, draws, levels=len(LEVELS), given=given, cond=cond)
    return nats / log(2) / (x0.shape[-1] - given)
