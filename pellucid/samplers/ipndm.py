"""iPNDM: Adams-Bashforth on eps along sigma / alpha. Zhang and Chen 2023 (DEIS), section 4; Liu et al. 2022 (PNDM)."""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from torch import Tensor

from pellucid.samplers.quadrature import multistep_weights
from pellucid.samplers.sampler import Now, Past, Sampler, combine

FIXED = {1: (1,), 2: (3 / 2, -1 / 2), 3: (23 / 12, -16 / 12, 5 / 12), 4: (55 / 24, -59 / 24, 37 / 24, -9 / 24)}
"""Adams-Bashforth weights for equal steps, newest first."""


@dataclass(frozen=True, kw_only=True)
class IPNDM(Sampler):
    """x_s = alpha_s (x_t / alpha_t + (r_s - r_t) sum_j b_j eps_j), r = sigma / alpha, over the last evaluations of eps.

    Arguments:
        history: how many evaluations are combined, 1 to 4.
        variable_step: weights that are exact for the grid at hand (order = history). Without it, the weights for equal
            steps, as published: of order 2 at most where the steps along r are unequal, but smoother at few steps.
    """

    history: Literal[1, 2, 3, 4] = 3
    variable_step: bool = False

    @property
    def order(self) -> int:
        return self.history if self.variable_step else min(self.history, 2)

    @property
    def memory(self) -> int:
        return self.history - 1

    def step(self, now: Now, x: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = now.scales(now.t), now.scales(now.s)
        here = Past(now.t, x, now.mean(x, now.t))
        usable = [here, *(old for old in reversed(now.past) if isfinite(_ratio(now, old.t)))]
        now.past.append(here)
        if float(alpha_t) == 0:  # r is infinite: the first-order step in its finite form
            return combine((sigma_s / sigma_t, x), (alpha_s, here.x0))
        r_t, r_s = _ratio(now, now.t), _ratio(now, now.s)
        if self.variable_step:
            nodes = [_ratio(now, old.t) - r_t for old in usable]
            weights = multistep_weights(nodes, r_s - r_t, np.ones_like)
        else:
            weights = [(r_s - r_t) * b for b in FIXED[len(usable)]]
        terms = [(alpha_s / alpha_t, x)]
        for weight, old in zip(weights, usable, strict=True):
            alpha, sigma = now.scales(old.t)
            terms += [(alpha_s * weight / sigma, old.x), (-alpha_s * weight * alpha / sigma, old.x0)]
        return combine(*terms)


def _ratio(now: Now, t: Tensor) -> float:
    alpha, sigma = now.scales(t)
    return float(sigma / alpha)
