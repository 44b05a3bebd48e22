"""The pitch of sounds, and how far it is from what was asked for. De Cheveigné and Kawahara 2002 (YIN), steps 2 to 5."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

LOWEST, HIGHEST = 60.0, 2000.0
"""Hz in which pitches are looked for."""
DIP = 0.15
"""Of the normalised difference, below which a period is taken; the lowest dip where none is."""

FINER = 4

Floats = NDArray[np.float64]


def pitch(sounds: ArrayLike, rate: int, *, window: float = 0.1) -> Floats:
    """Hz of each of the sounds (N, L), (N,): of its loudest part, `window` seconds long; NaN where all is silent.

        d(tau) = sum_j (x_j - x_{j + tau})^2,   d'(tau) = d(tau) tau / sum_{k <= tau} d(k)

    The period is the first tau whose d' is a least one and below 0.15, else the tau of the least d', between samples by a
    parabola.
    """
    x = np.asarray(sounds, dtype=np.float64)
    longest, shortest = int(rate / LOWEST), max(2, int(rate / HIGHEST))
    width = min(round(window * rate), x.shape[1] - longest)
    if width < longest:
        raise ValueError(f"sounds of {x.shape[1]} samples are too short for pitches from {LOWEST:g} Hz at {rate:,} Hz")
    return np.array([_pitch(one, width, shortest, longest) * rate for one in x])


def cents(found: ArrayLike, wanted: ArrayLike) -> Floats:
    """1200 log2(found / wanted): hundredths of a semitone."""
    return np.asarray(1200 * np.log2(np.asarray(found) / np.asarray(wanted)))


def _pitch(x: Floats, width: int, shortest: int, longest: int) -> float:
    """Periods in a sample, at lags of a quarter of one."""
    energy = np.convolve(x**2, np.ones(width + longest), mode="valid")
    start = int(energy.argmax())
    part = x[start : start + width + longest]
    if not part.any():
        return float("nan")
    squares = np.concatenate([[0.0], np.cumsum(part**2)])
    lags = np.arange(FINER * longest) / FINER
    size = 1 << int(np.ceil(np.log2(2 * len(part))))
    spectrum = np.fft.rfft(part, size) * np.conj(np.fft.rfft(part[:width], size))
    products = FINER * np.fft.irfft(spectrum, FINER * size)[: len(lags)]
    ends = np.interp(lags + width, np.arange(len(squares)), squares) - np.interp(lags, np.arange(len(squares)), squares)
    difference = np.maximum(squares[width] + ends - 2 * products, 0.0)
    total = np.cumsum(difference[1:])
    normal = np.concatenate([[1.0], difference[1:] * np.arange(1, len(lags)) / np.maximum(total, 1e-300)])
    inner = np.arange(FINER * shortest, len(lags) - 1)
    dips = inner[(normal[inner] <= normal[inner - 1]) & (normal[inner] < normal[inner + 1])]
    deep = dips[normal[dips] < DIP]
    place = int(deep[0]) if len(deep) else int(inner[normal[inner].argmin()])
    before, here, after = normal[place - 1 : place + 2]
    bend = before - 2 * here + after
    return FINER / (place + (0.5 * (before - after) / bend if bend > 0 else 0.0))
