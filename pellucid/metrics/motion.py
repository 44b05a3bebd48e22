"""How far films move from frame to frame, and how far they would if their frames stood in no order."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pellucid.core.random import Key

Floats = NDArray[np.float64]


def motion(films: ArrayLike) -> Floats:
    """The mean over successive frames of the root mean square of their difference, of films (N, C, T, *space): (N,)."""
    moved = np.diff(np.asarray(films, dtype=np.float64), axis=2) ** 2
    return np.asarray(np.sqrt(moved.mean(axis=(1, *range(3, moved.ndim)))).mean(1))


def shuffled(films: ArrayLike, seed: int = 0) -> Floats:
    """The same films with the frames of each in an order of its own, drawn by the seed."""
    x = np.asarray(films)
    drawn = Key(seed, "shuffled frames").uniform(np.arange(len(x)), (x.shape[2],)).numpy()
    return np.stack([film[:, order] for film, order in zip(x, drawn.argsort(1), strict=True)])
