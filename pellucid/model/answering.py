"""Texts made from texts: a target for each source, the best of several candidates."""

from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
import torch

from pellucid.conditioners.known_tokens import UNKNOWN
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.metrics.chrf import chrf
from pellucid.modalities.text import Text
from pellucid.modalities.vocabulary import END
from pellucid.model.model import Model
from pellucid.model.samples import Samples


def answer(
    model: Model, sources: Sequence[str], *, candidates: int = 1, seed: int = 0,
    progress: Callable[[int, int], None] | None = None, **settings: Any,
) -> Samples:  # fmt: skip
    """A target for each source.

    Of several candidates that one is taken which is most like the others, by `chrf` with β = 1, as with more of it the
    longest is favoured: of least expected loss where they are drawn from what is likely (minimum Bayes risk; Eikema and
    Aziz 2022, eq. 6).

    Arguments:
        sources: as many as targets are wanted; one may come several times.
        candidates: drawn for each.
        settings: as for `Model.sample`.

    Raises:
        UnsupportedError: the model was not trained on pairs.
        ConfigError: a source longer than its window.
    """
    text = model.modality
    if not isinstance(text, Text) or not text.sourced:
        raise UnsupportedError("The model makes no texts from texts: it was not trained on pairs of source and target")
    if candidates < 1 or not sources:
        raise ConfigError(f"{len(sources)} sources, candidates = {candidates}: expected 1 or more")
    known, began = torch.full((len(sources), 1, *model.facts.shape[1:]), UNKNOWN), perf_counter()
    for place, source in enumerate(sources):
        numbers = text.words.encode(source)
        if len(numbers) > text.sourced:
            raise ConfigError(f"The source '{source[:40]}...' has {len(numbers)} tokens, expected {text.sourced} at most")
        known[place, 0, : text.sourced] = torch.tensor([*numbers, *[END] * (text.sourced - len(numbers))])
    made = model.sample(
        len(sources) * candidates, known=known.repeat_interleave(candidates, 0), seed=seed, progress=progress, **settings
    )
    rows = [first + likeliest(text.texts(made.data[first : first + candidates]))
            for first in range(0, len(made), candidates)]  # fmt: skip
    return Samples(
        data=made.data[rows], modality=text, seed=seed, nfe=made.nfe * candidates, seconds=perf_counter() - began,
        journey=made.journey,
    )  # fmt: skip


def likeliest(texts: Sequence[str]) -> int:
    """The place of the text that is most like the others."""
    if len(texts) == 1:
        return 0
    return int(np.argmax([sum(chrf(one, other, beta=1.0) for place, other in enumerate(texts) if place != own)
                          for own, one in enumerate(texts)]))  # fmt: skip
