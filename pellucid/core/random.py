"""Randomness by key: the same (seed, purpose, step, sample) gives the same numbers, whatever else was drawn.

Raw bits come from the counter-based generator Philox4x64-10 (Salmon et al. 2011, "Parallel random numbers: as easy as
1, 2, 3"), whose stream NumPy guarantees not to change. The key is (seed, purpose), the counter (block, step, file,
window), so no two draws can overlap and nothing depends on batch size, rank, device, thread count or what ran before.

Bits become numbers by our own code, from +, -, *, / and the square root alone, which IEEE 754 fixes to the last bit:
the numbers are the same on every machine and after every library update. All are made on the CPU in float64.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from math import prod, sqrt
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ids = Sequence[int] | NDArray[np.integer] | Tensor
"""Which samples: (B,) file numbers, or (B, 2) pairs (file, window)."""


@dataclass(frozen=True)
class Key:
    """What a draw is for. Two keys that differ in any field give independent numbers.

    Arguments:
        seed: the run's seed, 0 <= seed < 2^64.
        purpose: a word such as "noise", "times" or "init".
        step: a counter within the purpose, such as the samples seen so far or the sampler's step.
    """

    seed: int
    purpose: str
    step: int = 0

    def at(self, step: int) -> "Key":
        """The same purpose at another step."""
        return Key(self.seed, self.purpose, step)

    def bits(self, ids: Ids, count: int) -> NDArray[np.uint64]:
        """Raw 64-bit words, shape (B, count)."""
        word = int.from_bytes(blake2b(self.purpose.encode(), digest_size=8).digest(), "little")
        key = np.array([self.seed, word], dtype=np.uint64)
        return np.stack([
            np.random.Philox(key=key, counter=np.array([0, self.step, file, window], dtype=np.uint64)).random_raw(count)
            for file, window in _pairs(ids)
        ]) if len(ids) else np.empty((0, count), dtype=np.uint64)

    def uniform(self, ids: Ids, shape: Sequence[int] = ()) -> Tensor:
        """Uniform on the open interval (0, 1), float64, shape (B, *shape). Never 0 or 1, symmetric about 1/2."""
        values = ((self.bits(ids, prod(shape)) >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
        return torch.from_numpy(values.reshape(-1, *shape))

    def normal(self, ids: Ids, shape: Sequence[int] = ()) -> Tensor:
        """Standard normal, float64, shape (B, *shape), by the inverse distribution function."""
        return torch.from_numpy(normal_quantile(self.uniform(ids, shape).numpy()))


class Draws(Protocol):
    """A source of numbers for a batch of samples: keyed per sample in real use, any generator in a test."""

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers, (B, *shape), float64."""

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        """Uniform numbers on (0, 1), (B, *shape), float64."""


@dataclass(frozen=True)
class Keyed:
    """The draws of a batch whose samples are `ids`: each sample's numbers are its own, whoever shares the batch."""

    seed: int
    ids: Ids

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return Key(self.seed, purpose, step).normal(self.ids, shape)

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return Key(self.seed, purpose, step).uniform(self.ids, shape)


@dataclass(frozen=True)
class Each:
    """The draws of a batch whose samples were asked for apart: each has a (seed, id) of its own, as `Keyed` takes them."""

    keys: Sequence[tuple[int, int]]

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return torch.cat([Key(seed, purpose, step).normal([one], shape) for seed, one in self.keys])

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        return torch.cat([Key(seed, purpose, step).uniform([one], shape) for seed, one in self.keys])


def _pairs(ids: Ids) -> list[tuple[int, int]]:
    array = np.asarray(ids)
    if array.ndim == 1:
        return [(int(file), 0) for file in array]
    if array.ndim == 2 and array.shape[1] == 2:
        return [(int(file), int(window)) for file, window in array]
    raise ValueError(f"sample ids have shape {array.shape}; expected (B,) or (B, 2)")


# Wichura 1988, Algorithm AS 241 (PPND16): rational approximations of the normal quantile, relative error about 1e-16.
_CENTRE = (
    (2509.0809287301226727, 33430.575583588128105, 67265.770927008700853, 45921.953931549871457, 13731.693765509461125,
     1971.5909503065514427, 133.14166789178437745, 3.387132872796366608),
    (5226.495278852545925, 28729.085735721942674, 39307.89580009271061, 21213.794301586595867, 5394.1960214247511077,
     687.1870074920579083, 42.313330701600911252, 1.0),
)
_MIDDLE = (
    (7.7454501427834140764e-4, 0.0227238449892691845833, 0.24178072517745061177, 1.27045825245236838258,
     3.64784832476320460504, 5.7694972214606914055, 4.6303378461565452959, 1.42343711074968357734),
    (1.05075007164441684324e-9, 5.475938084995344946e-4, 0.0151986665636164571966, 0.14810397642748007459,
     0.68976733498510000455, 1.6763848301838038494, 2.05319162663775882187, 1.0),
)
_TAIL = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 0.0012426609473880784386, 0.026532189526576123093,
     0.29656057182850489123, 1.7848265399172913358, 5.4637849111641143699, 6.6579046435011037772),
    (2.04426310338993978564e-15, 1.4215117583164458887e-7, 1.8463183175100546818e-5, 7.868691311456132591e-4,
     0.0148753612908506148525, 0.13692988092273580531, 0.59983220655588793769, 1.0),
)


def normal_quantile(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """x with Φ(x) = u, for u in (0, 1). Wichura 1988, Algorithm AS 241."""
    q = u - 0.5
    x = q * _ratio(_CENTRE, 0.180625 - q * q)
    outer = np.abs(q) > 0.425
    q_outer = q[outer]
    r = np.sqrt(-_log(np.minimum(u[outer], 1.0 - u[outer])))
    tail = np.where(r <= 5.0, _ratio(_MIDDLE, r - 1.6), _ratio(_TAIL, r - 5.0))
    x[outer] = np.where(q_outer < 0, -tail, tail)
    return x


def _ratio(coefficients: tuple[tuple[float, ...], tuple[float, ...]], x: NDArray[np.float64]) -> NDArray[np.float64]:
    top, bottom = (np.full_like(x, row[0]) for row in coefficients)
    for a, b in zip(coefficients[0][1:], coefficients[1][1:], strict=True):
        top = top * x + a
        bottom = bottom * x + b
    return top / bottom


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Natural logarithm from exact operations: x = m 2^e, then log m = 2 artanh((m - 1) / (m + 1)) as a series."""
    mantissa, exponent = np.frexp(x)
    small = mantissa < sqrt(0.5)
    mantissa = np.where(small, 2 * mantissa, mantissa)
    exponent = exponent - small
    z = (mantissa - 1) / (mantissa + 1)  # |z| <= 0.172, so z^22 < 2e-17
    z2 = z * z
    series = np.zeros_like(z)
    for odd in range(21, 0, -2):
        series = series * z2 + 1.0 / odd
    return np.asarray(exponent * 0.6931471805599453 + 2 * z * series)
