"""How much of a text stands word by word in the data."""

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.writing import Tokens, Values

BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
BLOCK = 1 << 22
"""Values of the data that are looked through at a time."""

Hashes = NDArray[np.uint64]


def copied(texts: Tokens, data: Tokens, own: Tokens | None = None) -> Values:
    """Tokens of the longest stretch of each text that also stands in one row of `data`, (N,).

    Stretches of a length are compared by a hash of 64 bits; their lengths are found by halving, all texts at once.

    Arguments:
        data: (M, L), the windows that the model was trained on.
        own: rows of the data that the texts are themselves, which do not count.
    """
    low, high = np.zeros(len(texts), np.int64), (texts > 0).sum(1)
    while (low < high).any():
        middle = (low + high + 1) // 2
        there = np.zeros(len(texts), bool)
        for length in np.unique(middle[low < high]).tolist():
            asked = np.flatnonzero((middle == length) & (low < high))
            there[asked] = _stands(texts[asked], data, length, None if own is None else own[asked])
        low, high = np.where(there & (low < high), middle, low), np.where(~there & (low < high), middle - 1, high)
    return low.astype(np.float64)


def _stands(texts: Tokens, data: Tokens, length: int, own: Tokens | None) -> NDArray[np.bool_]:
    """Whether a stretch of so many tokens of each text stands in the data."""
    wanted, whole = _hashes(texts, length)
    found = np.zeros(len(texts), bool)
    rows = max(1, BLOCK // data.shape[1])
    known = np.unique(wanted[whole])
    seen, where = [], []
    for first in range(0, len(data), rows):
        hashes, inside = _hashes(data[first : first + rows], length)
        hit = inside & np.isin(hashes, known)
        seen.append(hashes[hit])
        where.append(first + np.nonzero(hit)[0])
    everything, places = np.concatenate(seen), np.concatenate(where)
    for index, (row, inside) in enumerate(zip(wanted, whole, strict=True)):
        others = everything if own is None else everything[places != own[index]]
        found[index] = bool(np.isin(row[inside], others).any())
    return found


def _hashes(rows: Tokens, length: int) -> tuple[Hashes, NDArray[np.bool_]]:
    """Of every stretch of each row, (N, L - length + 1), and whether the row has not ended before the stretch does."""
    width = rows.shape[1]
    with np.errstate(over="ignore"):
        powers, back = (_powers(base, width + 1) for base in (BASE, pow(BASE, -1, 1 << 64)))
        sums = np.zeros((len(rows), width + 1), np.uint64)
        np.cumsum(rows.astype(np.uint64) * powers[:-1], axis=1, out=sums[:, 1:])
        stretch = (sums[:, length:] - sums[:, :-length]) * back[: width - length + 1]
    ends = (rows > 0).cumsum(1)
    inside = np.diff(np.pad(ends, ((0, 0), (1, 0))), axis=1)
    kept = np.lib.stride_tricks.sliding_window_view(inside, length, axis=1).all(-1)
    return stretch, np.asarray(kept)


def _powers(base: int, count: int) -> Hashes:
    """1, base, base², ..., modulo 2^64."""
    return np.cumprod(np.array([1, *[base] * (count - 1)], np.uint64), dtype=np.uint64)
