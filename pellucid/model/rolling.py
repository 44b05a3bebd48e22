"""Films that go on: each window of frames is made from the end of what there is, for as long as asked."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.modalities.video import Video
from pellucid.model.filling import fill
from pellucid.model.model import Model
from pellucid.model.samples import Samples

LARGEST = 50_000_000
"""Numbers in all versions of a film."""


def roll_on(
    model: Model, path: Path, length: int, *, n: int = 1, seed: int = 0,
    progress: Callable[[int, int], None] | None = None, tell: Callable[[str], None] = lambda _: None, **settings: Any,
) -> Samples:  # fmt: skip
    """`n` versions of the film in a file with `length` frames more, drawn window by window; see `fill`.

    Arguments:
        tell: called with sentences for the user about how the film was read.
        settings: as for `Model.sample`.

    Raises:
        UserError: the film cannot be read, or the model is not one that can go on.
    """
    if not isinstance(model.modality, Video):
        raise UnsupportedError("The model is not of films: it was trained on something else")
    (film, notes), began = model.modality.open(path, model.facts.shape), perf_counter()
    for note in notes:
        tell(note)
    window = model.facts.shape[1]
    past = film[:, -window:].astype(np.float64)
    if n * (film.size + length * film[:, 0].size) > LARGEST:
        raise ConfigError(f"n = {n:,} versions of {film.shape[1] + length:,} frames do not fit: ask for fewer")
    known = np.concatenate([past, np.full((len(past), length, *past.shape[2:]), np.nan)], axis=1)
    calls = 0

    def report(done: int, whole: int) -> None:
        nonlocal calls
        calls += 1
        if progress is not None:
            progress(done, whole)

    made = fill(model, known, n=n, seed=seed, progress=report, **settings)[:, :, past.shape[1] :]
    whole = np.concatenate([np.repeat(film[None], n, axis=0), made.astype(np.uint8)], axis=2)
    steps = model.sampling(steps=settings.get("steps"))["steps"]
    return Samples(
        data=model.modality.decode(torch.from_numpy(whole)), modality=model.modality, seed=seed, nfe=calls * steps,
        seconds=perf_counter() - began,
    )  # fmt: skip
