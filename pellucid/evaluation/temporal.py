"""Features without weights, for series: where a window lies, how strongly and at which pace it moves, what moves together.

    levels        the mean of each column in 8 parts of the window
    increments    of each column their mean size, standard deviation and the size of the largest
    memory        of each column the correlation of increments, and of their sizes, with those 1, 2 and 4 steps later
    spectrum      of each column the log of the power in bands of frequencies, each twice as wide as the one before
    dependence    of each two columns the correlation of their increments; of more than 64 columns, of neighbours only

Levels and their autocorrelation, fat tails, volatility that comes in clusters, and dependence are the stylised facts that
series of prices are judged by (Cont 2001, "Empirical properties of asset returns"); the spectrum shows seasons.
"""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool1d

from pellucid.core.errors import DataError, UnsupportedError
from pellucid.evaluation.network import FeatureNetwork, no_weights
from pellucid.evaluation.source import Source

PARTS = 8
LAGS = (1, 2, 4)
MOST = 64  # columns of which all pairs are looked at
SMALL = 1e-6  # relative to a column's standard deviation, which is about 1; below it nothing moves


class TemporalFeatures(FeatureNetwork):
    """Windows (B, C, L) on the model's scale to features (B, F)."""

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        no_weights(weights, "temporal")
        return cls().eval()

    def check(self, pictures: Tensor) -> None:
        if pictures.ndim != 3 or pictures.shape[2] < 2:
            raise UnsupportedError(f"Samples of shape {tuple(pictures.shape[1:])} are no series: expected (C, L)")

    def check_values(self, pictures: Tensor) -> None:
        if not bool(pictures.isfinite().all()):
            raise DataError("The series hold values that are missing or no numbers")

    def embed(self, pictures: Tensor) -> Tensor:
        series = pictures.double()
        moved = series.diff(dim=2)
        size = moved.abs()
        found = [
            adaptive_avg_pool1d(series, min(PARTS, series.shape[2])).flatten(1),
            size.mean(2), moved.std(2), size.amax(2),
            *(_together(moved[..., lag:], moved[..., :-lag]) for lag in LAGS if lag < moved.shape[2] - 1),
            *(_together(size[..., lag:], size[..., :-lag]) for lag in LAGS if lag < moved.shape[2] - 1),
            *_bands(series),
        ]  # fmt: skip
        columns = series.shape[1]
        first, second = torch.triu_indices(columns, columns, offset=1)
        if columns > MOST:
            first, second = torch.arange(columns - 1), torch.arange(1, columns)
        return torch.cat([*found, _together(moved[:, first], moved[:, second])], 1).float()


def _together(a: Tensor, b: Tensor) -> Tensor:
    """Correlation over the last axis; near 0 where one hardly moves."""
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    scale = (a.square().sum(-1) * b.square().sum(-1)).sqrt()
    found: Tensor = (a * b).sum(-1) / (scale + SMALL)
    return found


def _bands(series: Tensor) -> list[Tensor]:
    """log power in the frequencies 1, 2 to 3, 4 to 7, ... of the window, (B, C) each."""
    power = torch.fft.rfft(series, dim=2, norm="ortho").abs().square()
    found, low = [], 1
    while low < power.shape[2]:
        found.append((power[..., low : 2 * low].mean(2) + SMALL).log())
        low *= 2
    return found
