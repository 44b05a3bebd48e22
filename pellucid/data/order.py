"""Which sample comes when: a permutation of the data set for each epoch, computed place by place without memory.

A balanced Feistel network (Luby & Rackoff 1988) permutes the smallest power of four that holds `count`, from 64 on, since
halves of two bits do not reach every permutation alike. Walking its cycle until the value is below `count` makes it one
of range(count) (Black & Rogaway 2002, "Ciphers with arbitrary finite domains", section 4). The round function is the
finaliser of SplitMix64 (Steele, Lea & Flood 2014, figure 16), its round keys are Philox words: the order is the same on
every machine and for any split of the places.
"""

import numpy as np
from numpy.typing import NDArray

from pellucid.core.random import Key

ROUNDS = 8  # all orders of 2, 3, 5 and 6 samples are equally frequent (chi-square over 24,000 epochs, p > 0.01)


def order(
    seed: int, epoch: int, count: int, positions: NDArray[np.integer], purpose: str = "order"
) -> NDArray[np.int64]:
    """The samples at `positions` of an epoch.

    Arguments:
        seed, epoch: choose the permutation.
        count: samples in the data set.
        positions: (B,) places within the epoch, each in range(count).
        purpose: another one, another permutation.

    Returns:
        (B,) sample ids: a bijection of range(count) over all places.

    Raises:
        ValueError: no samples, or a position outside the epoch.
    """
    places = np.asarray(positions)
    if count < 1 or (places.size and not 0 <= places.min() <= places.max() < count):
        raise ValueError(f"positions must lie in range({count}), a range that is not empty")
    return _permuted(places, _keys(seed, epoch, purpose)[:, None], count)


def stream(seed: int, count: int, start: int, n: int) -> NDArray[np.int64]:
    """The samples at places start, ..., start + n - 1 of training: place p is place p % count of epoch p // count.

    Arguments:
        seed: the run's seed.
        count: samples in the data set.
        start: samples seen before.
        n: samples wanted.

    Returns:
        (n,) sample ids.

    Raises:
        ValueError: no samples.
    """
    if count < 1:
        raise ValueError("there are no samples to put in order")
    if n < 1:
        return np.empty(0, dtype=np.int64)
    epochs, places = np.divmod(np.arange(start, start + n), count)
    keys = np.stack([_keys(seed, epoch) for epoch in range(epochs[0], epochs[-1] + 1)], axis=1)
    return _permuted(places, keys[:, epochs - epochs[0]], count)


def _keys(seed: int, epoch: int, purpose: str = "order") -> NDArray[np.uint64]:
    keys: NDArray[np.uint64] = Key(seed, purpose, epoch).bits([0], ROUNDS)[0]
    return keys


def _permuted(places: NDArray[np.integer], keys: NDArray[np.uint64], count: int) -> NDArray[np.int64]:
    """Places (B,) through the permutation of range(count) with round keys (ROUNDS, B) or (ROUNDS, 1)."""
    half = max(3, ((count - 1).bit_length() + 1) // 2)
    keys = np.broadcast_to(keys, (ROUNDS, len(places)))
    ids = _feistel(places.astype(np.uint64), keys, half)
    while (outside := ids >= count).any():
        ids[outside] = _feistel(ids[outside], keys[:, outside], half)
    return ids.astype(np.int64)


def _feistel(x: NDArray[np.uint64], keys: NDArray[np.uint64], half: int) -> NDArray[np.uint64]:
    """A bijection of range(2^(2 half))."""
    bits, mask = np.uint64(half), np.uint64(2**half - 1)
    left, right = x >> bits, x & mask
    for key in keys:
        left, right = right, left ^ (_mixed(right ^ key) & mask)
    return left << bits | right


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Stafford's variant 13): every input bit moves every output bit."""
    z = (z ^ z >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ z >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return z ^ z >> np.uint64(31)
