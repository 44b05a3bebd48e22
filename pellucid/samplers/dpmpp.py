"""DPM-Solver++, multistep, deterministic and stochastic. Lu et al. 2022 (DPM-Solver++), algorithm 2 and section 6.

With λ = log(alpha / sigma) and h = λ_s - λ_t the ODE is solved exactly for D constant over the step,

    x_s = sigma_s / sigma_t x_t + alpha_s (1 - e^-h) D,     e^-h = sigma_s alpha_t / (sigma_t alpha_s)

which stays finite at both ends, where λ does not. D is extrapolated from the last `order` evaluations.
"""

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import numpy as np
from torch import Tensor

from pellucid.samplers.quadrature import multistep_weights
from pellucid.samplers.sampler import Now, Past, Sampler, combine
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class DPMSolver(Sampler):
    """Deterministic multistep DPM-Solver++.

    Order 2 extrapolates D to the middle of the step, as published. Order 3 integrates the parabola through three
    evaluations exactly. A step to or from infinite λ is of order 1; after one from there the next is too, and the
    one after that of order 2 at most.

    Arguments:
        order: 1 (equals DDIM), 2 or 3.
    """

    order: Literal[1, 2, 3] = 2

    @property
    def memory(self) -> int:
        return self.order - 1

    def step(self, now: Now, x: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = now.scales(now.t), now.scales(now.s)
        x0 = now.mean(x, now.t)
        usable = recent(now, self.order)
        now.past.append(Past(now.t, x, x0))
        e_h = sigma_s * alpha_t / (sigma_t * alpha_s)
        keep = (sigma_s / sigma_t, x)
        if not usable:
            return combine(keep, (alpha_s * (1 - e_h), x0))
        nodes, means = [u for u, _ in usable], [m for _, m in usable]
        h = -float(e_h.log())
        if len(nodes) == 1:
            half = h / (2 * -nodes[0])
            return combine(keep, (alpha_s * (1 - e_h) * (1 + half), x0), (-alpha_s * (1 - e_h) * half, means[0]))
        weights = multistep_weights([0.0, *nodes], h, lambda u: np.exp(u - h))
        return combine(keep, *((alpha_s * w, m) for w, m in zip(weights, [x0, *means], strict=True)))


@dataclass(frozen=True, kw_only=True)
class DPMSolverSDE(Sampler):
    """SDE-DPM-Solver++: x_s = sigma_s / sigma_t e^-h x_t + alpha_s (1 - e^-2h) D + sigma_s sqrt(1 - e^-2h) z.

    Arguments:
        solver_order: 1, or 2 which extrapolates D to the middle of the step.
        noise_scale: factor on the injected noise; 1 is right.
    """

    solver_order: Literal[1, 2] = 2
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        require("noise_scale", self.noise_scale, 0, 2, closed=True)

    @property
    def memory(self) -> int:
        return self.solver_order - 1

    @property
    def stochastic(self) -> bool:
        return True

    def step(self, now: Now, x: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = now.scales(now.t), now.scales(now.s)
        x0 = now.mean(x, now.t)
        usable = recent(now, self.solver_order)
        now.past.append(Past(now.t, x, x0))
        e_h = sigma_s * alpha_t / (sigma_t * alpha_s)
        gain = alpha_s * (1 - e_h**2)
        half = -float(e_h.log()) / (2 * -usable[0][0]) if usable else 0.0
        terms = [(sigma_s / sigma_t * e_h, x), (gain * (1 + half), x0)]
        if usable:
            terms.append((-gain * half, usable[0][1]))
        if float(sigma_s) > 0:
            terms.append((self.noise_scale * sigma_s * (1 - e_h**2).sqrt(), now.noise(x)))
        return combine(*terms)


def recent(now: Now, order: int) -> list[tuple[float, Tensor]]:
    """Past evaluations for a step of this order, newest first: (λ_past - λ_t, x0); empty where λ is infinite."""

    def half_log_snr(t: Tensor) -> float:
        return float(now.process.schedule.log_snr(t)) / 2

    here = half_log_snr(now.t)
    if not (isfinite(here) and isfinite(half_log_snr(now.s))):
        return []
    past = [(half_log_snr(old.t) - here, old.x0) for old in reversed(now.past)]
    return [(gap, x0) for gap, x0 in past if isfinite(gap)][: order - 1]
