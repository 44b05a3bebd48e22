"""Texts predicted without a network: by runs of letters, and by a program that packs files."""

import lzma
from collections import Counter, defaultdict
from math import log2


def grams(train: str, test: str, order: int = 5) -> float:
    """Bits per letter of `test` under runs of up to `order` letters counted in `train`, each smoothed by the shorter
    ones as in Witten and Bell 1991, method C.
    """
    counts: list[dict[str, Counter[str]]] = [defaultdict(Counter) for _ in range(order)]
    for place in range(len(train)):
        for length in range(min(order, place + 1)):
            counts[length][train[place - length : place]][train[place]] += 1
    letters, bits = len(set(train) | set(test)), 0.0
    for place, letter in enumerate(test):
        p = 1 / letters
        for length in range(min(order, place + 1)):
            seen = counts[length].get(test[place - length : place])
            if seen:
                p = (seen[letter] + len(seen) * p) / (seen.total() + len(seen))
        bits -= log2(p)
    return bits / len(test)


def packed(train: str, test: str) -> float:
    """Bits per letter that xz at its best takes for `test` after `train`."""
    size = [len(lzma.compress(text.encode(), preset=9 | lzma.PRESET_EXTREME)) for text in (train, train + test)]
    return 8 * (size[1] - size[0]) / len(test)
