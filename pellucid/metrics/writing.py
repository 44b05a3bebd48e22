"""Figures of single texts, as rows of tokens of which 0 is the end: how varied one is, and how often it repeats itself."""

import numpy as np
from numpy.typing import NDArray

from pellucid.metrics.result import Result

SAID = 4
"""Tokens of a phrase."""

Tokens = NDArray[np.int64]
Values = NDArray[np.float64]


def entropy(texts: Tokens, data: Tokens, own: Tokens | None = None) -> Values:  # noqa: ARG001
    """Bits per token of the distribution of tokens within each text, (N,): low where a sampler says the same again.

    Its figure is to be near that of real texts. It grows with their length.
    """
    found = np.zeros(len(texts))
    for place, row in enumerate(texts):
        _, counts = np.unique(row[row > 0], return_counts=True)
        shares = counts / max(1, counts.sum())
        found[place] = -(shares * np.log2(shares)).sum()
    return found


def repeats(texts: Tokens, data: Tokens, own: Tokens | None = None) -> Values:  # noqa: ARG001
    """The share of phrases of SAID tokens that stand earlier in the same text, (N,)."""
    found = np.zeros(len(texts))
    for place, row in enumerate(texts):
        phrases = np.lib.stride_tricks.sliding_window_view(row[row > 0], SAID) if (row > 0).sum() >= SAID else row[:0]
        found[place] = 1 - len(np.unique(phrases, axis=0)) / len(phrases) if len(phrases) else 0.0
    return found


def mean_of(values: Values, real: Values) -> Result:
    """The mean over texts with its interval, and that of real ones as the floor."""
    reach = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else float("nan")
    value = float(values.mean())
    return Result(value=value, low=value - reach, high=value + reach, floor=float(real.mean()), n=len(values))
