"""Re-noising: draw clean data, corrupt it again to the next level. Song et al. 2023 (Consistency Models), algorithm 1."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pellucid.samplers.sampler import Now, Sampler


@dataclass(frozen=True, kw_only=True)
class Consistency(Sampler):
    """x_s = alpha_s x0 + sigma_s eps with x0 drawn from p(x0 | x_t) and fresh eps.

    Exact at any number of steps when the samples are, for any kind of noise; a mean in place of a sample is refused.
    """

    needs: ClassVar[str] = "sample"
    assumes_gaussian: ClassVar[bool] = False

    @property
    def order(self) -> int:
        return 1

    @property
    def stochastic(self) -> bool:
        return True

    def step(self, now: Now, x: Tensor) -> Tensor:
        x0 = now.sample(x, now.t)
        if float(now.scales(now.s)[1]) == 0:
            return x0
        eps = now.process.noise(now.source, "renoise", now.step, x.shape[1:], now.s)
        return now.process.corrupt(x0, now.s, eps)
