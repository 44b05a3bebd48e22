"""How well a classifier tells generated series from real ones.

    |1/2 - accuracy|    on held-out windows, half of them real

0 where they cannot be told apart, 1/2 where they always can. Source: Yoon, Jarrett and van der Schaar 2019 (TimeGAN),
section 5.1.1, with the settings of their code: gated recurrent units, half as many as columns (4 at least), the last step's
state decides, 2,000 batches of 128 under Adam, four fifths to learn from, columns scaled to [0, 1] by the real data.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from pellucid.core.random import Key
from pellucid.metrics.recurrent import Recurrent, fit, to_unit
from pellucid.metrics.result import Result
from pellucid.metrics.score import check_windows, over_seeds

SHARE = 0.8
LEAST_WIDTH = 4


@dataclass(frozen=True, kw_only=True)
class Discriminative:
    """Windows in, a score with its interval over seeds and the score of real against real out.

    Arguments:
        seeds: classifiers, each trained anew on a split of its own.
        iterations: batches of each.
        rate: of learning.
        seed: of the first; the others follow.
    """

    seeds: int = 5
    iterations: int = 2000
    rate: float = 1e-3
    seed: int = 0

    def __call__(self, real: Tensor, generated: Tensor) -> Result:
        """Windows (N, C, L) and (M, C, L); as many of the larger set are left out as it has more."""
        check_windows(real, generated)
        n = min(len(real), len(generated))
        values = [self._score(real, generated, n, self.seed + place) for place in range(self.seeds)]
        half, shuffled = len(real) // 2, _some(real, len(real), Key(self.seed, "halves"))
        floor = self._score(shuffled[:half], shuffled[half:], half, self.seed)
        return over_seeds(values, floor, n)

    def _score(self, real: Tensor, generated: Tensor, n: int, seed: int) -> float:
        """|1/2 - accuracy| of one classifier."""
        key = Key(seed, "discriminative")
        first, second = to_unit(real, generated)
        split = int(SHARE * n)
        windows = torch.cat([_some(first, n, key.at(10)), _some(second, n, key.at(11))])
        truth = torch.cat([torch.ones(n), torch.zeros(n)])
        learned = torch.cat([torch.arange(split), n + torch.arange(split)])
        held = torch.cat([torch.arange(split, n), n + torch.arange(split, n)])
        network = Recurrent(windows.shape[2], max(LEAST_WIDTH, windows.shape[2] // 2))

        def loss(batch: Tensor) -> Tensor:
            rows = learned[batch]
            return binary_cross_entropy_with_logits(network(windows[rows])[:, -1, 0], truth[rows])

        fit(network, loss, len(learned), iterations=self.iterations, rate=self.rate, key=key)
        with torch.no_grad():
            right = (network(windows[held])[:, -1, 0] > 0) == (truth[held] > 0)
        return abs(0.5 - float(right.double().mean()))


def _some(windows: Tensor, n: int, key: Key) -> Tensor:
    """`n` of them, drawn by key, in an order drawn by key."""
    return windows[torch.argsort(key.uniform([0], (len(windows),))[0])[:n]]
