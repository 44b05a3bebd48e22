"""Bits per dimension of real data under a model."""

from dataclasses import dataclass, replace
from math import log, nan, prod, sqrt
from pathlib import Path
from time import perf_counter
from typing import Literal

import numpy as np
import torch

from pellucid.codecs.identity import Identity
from pellucid.core.errors import DataError, UnsupportedError
from pellucid.core.items import Item, Origin
from pellucid.core.random import Keyed
from pellucid.data.pack import Pack
from pellucid.denoisers.wiener import Wiener
from pellucid.evaluation.likelihood import Prior, bits_per_dim, elbo, ode_log_likelihood, token_elbo
from pellucid.evaluation.outside import flagged, likeness
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import END
from pellucid.model.model import Model


@dataclass(frozen=True, kw_only=True)
class Bits:
    """Mean over `n` samples and its standard error, in bits per dimension; `levels` of a stored value, None where it is any
    number.

    `notes` are sentences about what was chosen while reading the data; `of` is what a dimension is; `unlike` how many are
    unlike the training data, where that can be told (see `outside`).
    """

    mean: float
    standard_error: float
    n: int
    levels: int | None
    seconds: float
    notes: tuple[str, ...] = ()
    of: str = "dimension"
    unlike: int | None = None


def measure_bits(
    model: Model, data: Path, *, n: int = 64, method: Literal["ode", "elbo"] = "ode", steps: int = 64, seed: int = 0,
    batch: int = 64,
) -> Bits:  # fmt: skip
    """Bits per dimension of `n` samples of `data`, unconditionally.

    Stored bytes are dequantised: each is spread uniformly over its level, of width 2 / 255 in the model's range, so the
    result bounds the bits of the bytes themselves from above. Of values that are any numbers it is the density on the
    model's scale, minus its logarithm to base 2, which may be below 0.

    Raises:
        DataError: the data has another shape than the model's.
        UnsupportedError: the model works in the space of a codec, where densities of pictures are not known, or some of the
            data's values follow from the others, so that there is no density.
    """
    if isinstance(model.modality, Text):
        stored, notes = _choose(model, data, n)
        return replace(_of_text(model, model.modality, stored, notes, steps, seed, batch), unlike=_unlike(model, stored))
    if not isinstance(model.codec, Identity):
        raise UnsupportedError("Likelihoods are of what is diffused; this model diffuses the latents of a codec")
    if isinstance(model.denoiser, Wiener) and not bool((model.denoiser.variances > 0).all()):
        raise UnsupportedError("Some columns are constant or follow from the others exactly, so that there is no density: "
                               "leave them out of the table")  # fmt: skip
    if model.modality.importance is not None:
        raise UnsupportedError("Samples of several parts are filled up with values that are always 0, so that there is no "
                               "density: a likelihood is of one part alone")  # fmt: skip
    start, levels = perf_counter(), 256 if np.dtype(model.modality.storage).kind == "u" else None
    stored, notes = _choose(model, data, n)
    pieces = []
    for first in range(0, len(stored), batch):
        part = stored[first : first + batch]
        draws, x = Keyed(seed, range(first, first + len(part))), model.modality.decode(part).double()
        width = 1.0 if levels is None else 2 / (levels - 1)
        if levels is not None:
            x = x + (draws.uniform("dequantise", 0, part.shape[1:]) - 0.5) * width
        x = x.to(model.device, model.dtype)
        prior = Prior(mean=model.facts.mean, std=model.facts.std)
        if method == "ode":
            found = ode_log_likelihood(model.denoiser, x, steps=steps, prior=prior, draws=draws)
        else:
            found = elbo(model.denoiser, x, draws, levels=steps, prior=prior)
        pieces.append(bits_per_dim(found, prod(part.shape[1:]), step=width))
    bits = torch.cat(pieces)
    error = float(bits.std()) / sqrt(len(bits))
    seconds = perf_counter() - start
    return Bits(mean=float(bits.mean()), standard_error=error, n=len(bits), levels=levels, seconds=seconds, notes=notes,
                unlike=_unlike(model, stored))  # fmt: skip


def _unlike(model: Model, stored: np.ndarray) -> int | None:
    p = likeness(model, stored)
    return None if p is None else int(flagged(model, p).sum())


def bits_of_pack(model: Model, pack: Pack, *, n: int = 64, steps: int = 64, seed: int = 0) -> Bits:
    """The same of a pack of texts."""
    return bits_of(model, pack[pack.spread(n)][0], steps=steps, seed=seed)


def bits_of(model: Model, stored: np.ndarray, *, steps: int = 64, seed: int = 0) -> Bits:
    """The same of texts as they are stored, (N, 1, L)."""
    assert isinstance(model.modality, Text)
    return _of_text(model, model.modality, stored, (), steps, seed)


def _of_text(
    model: Model, text: Text, stored: np.ndarray, notes: tuple[str, ...], steps: int, seed: int, batch: int = 64
) -> Bits:
    """By the ELBO, for each character; the token that ends a text counts as one, what fills a window up not at all."""
    start, nats, counts = perf_counter(), [], []
    for first in range(0, len(stored), batch):
        part = stored[first : first + batch]
        x0 = text.decode(part).to(model.device)
        draws, own = Keyed(seed, range(first, first + len(part))), part[..., text.sourced :]
        nats.append(-token_elbo(model.denoiser, x0, draws, levels=steps, given=text.sourced))
        counts.append(torch.tensor([len(one) + (END in row) for one, row in zip(text.texts(x0), own, strict=True)]))
    bits, count = torch.cat(nats) / log(2), torch.cat(counts).double()
    mean = float(bits.sum() / count.sum())
    apart = float((bits - mean * count).std()) if len(bits) > 1 else nan
    error = apart / sqrt(len(bits)) / float(count.mean())  # of a ratio of means
    return Bits(
        mean=mean, standard_error=error, n=len(bits), levels=None, seconds=perf_counter() - start, notes=notes,
        of="character",
    )  # fmt: skip


def _choose(model: Model, data: Path, n: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """`n` stored samples spread evenly over the data, and notes on how it was read."""
    channels, *size = model.facts.shape
    records = list(model.modality.read(data, size=tuple(size), channels=channels, labels=False))
    notes = dict.fromkeys(note for record in records if isinstance(record, Origin) for note in record.notes)
    items = [record.data for record in records if isinstance(record, Item)]
    if len(items) < 2 or items[0].shape != model.facts.shape:
        came = f"{len(items)} samples" + (f" of shape {items[0].shape}" if items else "")
        raise DataError(f"'{data}' holds {came}; expected at least 2 of shape {model.facts.shape}, as the model knows them")
    chosen = np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).astype(int))
    return np.stack([items[i] for i in chosen]), tuple(notes)
