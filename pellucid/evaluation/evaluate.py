"""How good a model is: samples are drawn and compared with real data, by every metric that there is."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from pellucid.core.errors import ConfigError, UserError
from pellucid.data.pack import Pack
from pellucid.evaluation import features as registry
from pellucid.evaluation.asked import Asked
from pellucid.evaluation.choose import choose_network
from pellucid.evaluation.closest import Closest
from pellucid.evaluation.evaluation import Evaluation
from pellucid.evaluation.nearest import Nearest, nearest
from pellucid.evaluation.quality import quality
from pellucid.evaluation.source import Source, opened
from pellucid.evaluation.written import written
from pellucid.metrics import shares
from pellucid.metrics.result import Result
from pellucid.model.model import Model
from pellucid.model.samples import Samples

LEAST = 10
NEIGHBOURS = 10
"""K of the memorisation figure."""


def evaluate(
    model: Model,
    data: Path | str | Pack,
    *,
    n: int = 2000,
    n_real: int = 10_000,
    features: str = "auto",
    weights: Path | None = None,
    seed: int = 0,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
    **sampling: Any,
) -> Evaluation:
    """Draw `n` samples and compare them with `data`; classes in the data's proportion, or captions of the data, where
    the model knows them.

    Arguments:
        data: a path, read as training data is, to the model's shape; or an open pack.
        n_real: real samples at most whose features are taken, drawn by key.
        features: a registered feature network; "auto" fits the data.
        weights: for a network that takes them.
        seed: of the samples, of what is drawn from the data, and of resamples.
        batch, progress, sampling: as for `Model.sample`.

    Raises:
        UserError: data that does not fit the model, an unknown name, samples that are not numbers.
    """
    if n < LEAST:
        raise ConfigError(f"n = {n}: comparing distributions takes at least {LEAST} samples, and 2,000 to say much")
    start = perf_counter()
    with opened(data, model) as source:
        network = choose_network(features, source, weights)
        wanted = Asked.of(model, source, n, seed)
        samples = model.sample(
            n, label=wanted.labels, prompt=wanted.prompts, known=wanted.given, seed=seed, batch=batch, progress=progress,
            **sampling,
        )
        if not bool(samples.data.isfinite().all()):
            raise UserError("The samples are not numbers: too strong a guidance, or a model whose training went wrong")
        stored = model.modality.encode(samples.data)  # as it would be written: whole grey levels within range
        samples.data.copy_(model.modality.decode(stored))
        ids = source.choose(n_real, seed)
        ours = network.features(samples.data)
        theirs = np.concatenate([network.features(block) for block in source.blocks(ids)])
        judged = wanted.known and set(source.names) <= set(network.names)
        asked, truth = (samples.labels, source.labels(ids)) if judged else (None, None)
        found = quality(ours, theirs, network, asked=asked, truth=truth, seed=seed)
        near, found["closeness"] = _closeness(source, samples, seed)
        found |= written(source, samples, seed) if model.facts.categories else {}
        trained_on = source.pack.content == model.card.get("data")
        return Evaluation(
            metrics=found, features=registry.name_of(network), n=n, n_real=len(ids), samples=samples, nearest=near,
            closest=Closest.of(samples.data, source, near), trained_on=trained_on,
            accuracy=found["agreement"].floor if judged else network.accuracy, settings=model.sampling(**sampling),
            notes=tuple(_notes(n, len(ids), ours.shape[1], trained_on)), seconds=perf_counter() - start,
        )  # fmt: skip


def _closeness(source: Source, samples: Samples, seed: int) -> tuple[Nearest, Result]:
    """The neighbours of all samples, and the share that is closer than real data, of which as many are looked at."""
    count = len(source.pack)
    near = nearest(samples.data, source, min(NEIGHBOURS, count - 1))
    ids = source.choose(len(samples), seed)
    real = nearest(torch.cat(list(source.blocks(ids))), source, min(NEIGHBOURS, count - 1), own=ids)
    return near, shares["closeness"](near.scores, real.scores)


def _notes(n: int, n_real: int, width: int, trained_on: bool) -> Iterator[str]:
    if not trained_on:
        yield "this is not the data that the model was trained on, so closeness to it tells nothing about copies of that"
    if min(n, n_real // 2) <= width:
        yield (
            f"{n:,} samples and {n_real:,} real ones are few for {width} features: the Fréchet distance says little, even "
            "its floor"
        )
    if n < 1000:
        yield f"figures from {n:,} samples are rough; compare those of equal N only"
