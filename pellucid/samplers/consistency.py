"""From end to end: draw clean data, and corrupt it again to the next level, or go straight there."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pellucid.samplers.sampler import Now, Sampler, combine


@dataclass(frozen=True, kw_only=True)
class Consistency(Sampler):
    """x_s = alpha_s x0 + sigma_s eps with x0 drawn from p(x0 | x_t) and fresh eps, or that of x_t.

    With fresh noise (Song et al. 2023, Consistency Models, algorithm 1) it is exact at any number of steps when the samples
    are, for any kind of noise; a mean in place of a sample is refused. With the noise of x_t, eps = (x_t - alpha_t x0) /
    sigma_t, it goes on along the path, as a consistency denoiser of several segments wants it (Heek et al. 2024, Multistep
    Consistency Models, section 3.1).

    Arguments:
        fresh: whether noise is fresh.
    """

    needs: ClassVar[str] = "sample"
    assumes_gaussian: ClassVar[bool] = False

    fresh: bool = True

    @property
    def stochastic(self) -> bool:
        return self.fresh

    def step(self, now: Now, x: Tensor) -> Tensor:
        x0 = now.sample(x, now.t)
        alpha_s, sigma_s = now.scales(now.s)
        if float(sigma_s) == 0:
            return x0
        if not self.fresh:
            alpha_t, sigma_t = now.scales(now.t)
            kept = sigma_s / sigma_t
            return combine((alpha_s - kept * alpha_t, x0), (kept, x))
        eps = now.process.noise(now.source, "renoise", now.step, x.shape[1:], now.s)
        return now.process.corrupt(x0, now.s, eps)
