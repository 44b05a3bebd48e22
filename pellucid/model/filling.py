"""Series and films of any length, what is missing drawn window by window: what comes next is missing at the end."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.model.model import Model

SPREADING = 0x9E3779B97F4A7C15
"""Between the seeds of windows, so that each has noise of its own."""

Values = NDArray[np.float64]


def fill(
    model: Model, values: Values, *, n: int = 100, seed: int = 0, progress: Callable[[int, int], None] | None = None,
    **settings: Any,
) -> Values:  # fmt: skip
    """`n` versions (n, C, T, *space) of a series (C, T) or film (C, T, H, W), in the data's own units: what was NaN is drawn
    given all the rest.

    A window begins half its length before the first row or frame that lacks a value; what it makes is kept up to three
    quarters, or to its end where nothing is known there, and is known to the next window. So each version is one draw of
    the whole.

    Arguments:
        settings: as for `Model.sample`: label, steps, sampler and so on.
        progress: called with the rows or frames done and all of them.

    Raises:
        UnsupportedError: a model that was not trained to go on from parts of its samples, or one of neither.
        DataError: other columns, or nothing known at all.
    """
    if len(model.facts.shape) not in (2, 4) or "given" not in model.conditioners:
        raise UnsupportedError("The model cannot go on from a part: it takes one that was trained on tables with loss.given "
                               "above 0, or on films with loss.forcing above 0 and no autoencoder")  # fmt: skip
    channels, length, *space = model.facts.shape
    if values.ndim != 2 + len(space) or len(values) != channels or list(values.shape[2:]) != space:
        expected = ", ".join(map(str, (channels, "T", *space)))
        raise DataError(f"What is given has the shape {values.shape}, expected ({expected})")
    if n < 1:
        raise ConfigError(f"n = {n}: expected 1 or more")
    if not np.isfinite(values).any():
        raise DataError("Nothing is known to go on from")
    before = max(0, length - values.shape[1])
    flat = [(0, 0)] * len(space)
    whole = np.repeat(np.pad(values, ((0, 0), (before, 0), *flat), constant_values=np.nan)[None], n, axis=0)
    step, total, others = 0, whole.shape[2], (0, *range(2, 2 + len(space)))
    while (blank := np.flatnonzero(np.isnan(whole[0, :, before:]).any(others))).size:
        first = int(blank[0]) + before
        start = min(max(0, first - length // 2), total - length)
        window = whole[:, :, start : start + length]
        known = model.modality.decode(torch.from_numpy(window))
        made = model.sample(n, known=known, seed=(seed + step * SPREADING) % 2**64, **settings)
        drawn = np.where(np.isnan(window), model.modality.encode(made.data), window)
        ahead = start + length < total and np.isfinite(whole[0, :, first + 1 : start + length]).any()
        stop = start + (3 * length // 4 if ahead else length)
        whole[:, :, start:stop] = drawn[:, :, : stop - start]
        step += 1
        if progress is not None:
            progress(stop - before, total - before)
    return whole[:, :, before:]
