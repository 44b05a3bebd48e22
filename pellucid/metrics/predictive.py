"""How well a forecaster that has only seen generated series does on real ones.

    mean |y_{k+1} - f(x_1 .. x_k)|    on real windows, columns scaled to [0, 1] by the real data

y is the last column, x the others, or y itself where there is one column. The floor is the same figure of a forecaster that
has learned from real windows. Source: Yoon, Jarrett and van der Schaar 2019 (TimeGAN), section 5.1.2, with the settings of
their code: gated recurrent units, half as many as columns (4 at least), 5,000 batches of 128 under Adam, absolute error.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.core.random import Key
from pellucid.metrics.recurrent import Recurrent, fit, to_unit
from pellucid.metrics.result import Result
from pellucid.metrics.score import check_windows, over_seeds

LEAST_WIDTH = 4


@dataclass(frozen=True, kw_only=True)
class Predictive:
    """Windows in, an error with its interval over seeds and the error after learning from real windows out.

    Arguments:
        seeds: forecasters, each trained anew.
        iterations: batches of each.
        rate: of learning.
        seed: of the first; the others follow.
    """

    seeds: int = 5
    iterations: int = 5000
    rate: float = 1e-3
    seed: int = 0

    def __call__(self, real: Tensor, generated: Tensor) -> Result:
        """Windows (N, C, L) and (M, C, L)."""
        check_windows(real, generated)
        first, second = to_unit(real, generated)
        values = [self._error(second, first, self.seed + place) for place in range(self.seeds)]
        floor = [self._error(first, first, self.seed + place) for place in range(self.seeds)]
        return over_seeds(values, sum(floor) / len(floor), len(generated))

    def _error(self, seen: Tensor, real: Tensor, seed: int) -> float:
        """On `real` windows (N, L, C), of a forecaster that has `seen` others."""
        known = slice(0, max(1, seen.shape[2] - 1))
        network = Recurrent(len(range(seen.shape[2])[known]), max(LEAST_WIDTH, seen.shape[2] // 2))

        def error(windows: Tensor) -> Tensor:
            forecast = network(windows[:, :-1, known]).sigmoid()
            return torch.mean((forecast[..., 0] - windows[:, 1:, -1]).abs())

        key = Key(seed, "predictive")
        fit(network, lambda batch: error(seen[batch]), len(seen), iterations=self.iterations, rate=self.rate, key=key)
        with torch.no_grad():
            return float(error(real))
