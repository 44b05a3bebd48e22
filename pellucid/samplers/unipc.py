"""UniPC: a predictor and a corrector that shares its evaluation. Zhao et al. 2023, algorithms 5 to 8, data prediction."""

from dataclasses import dataclass
from math import expm1, factorial
from typing import Literal

import numpy as np
from torch import Tensor

from pellucid.samplers.dpmpp import recent
from pellucid.samplers.sampler import Now, Past, Sampler, combine


@dataclass(frozen=True, kw_only=True)
class UniPC(Sampler):
    """UniPC-p: one evaluation a step corrects the state that it was made at, then predicts the next. Order p + 1, without
    `lower_order_final`.

    Arguments:
        predictor_order: p, 1 to 3.
        variant: B(h), "bh2" = e^h - 1 or "bh1" = h; section 3.4.
        corrector: off gives UniP-p alone, of order p.
        lower_order_final: steps before the end use no higher order than there are steps left, as published.
    """

    predictor_order: Literal[1, 2, 3] = 2
    variant: Literal["bh1", "bh2"] = "bh2"
    corrector: bool = True
    lower_order_final: bool = True

    @property
    def order(self) -> int:
        full = self.predictor_order + (1 if self.corrector else 0)
        return min(full, 2) if self.lower_order_final else full  # the last step's error is of second order

    @property
    def memory(self) -> int:
        return self.predictor_order

    def step(self, now: Now, x: Tensor) -> Tensor:
        x0 = now.mean(x, now.t)
        if self.corrector and now.past:
            x = self._correct(now, x, x0)
        predicted = self._predict(now, x, x0)
        now.past.append(Past(now.t, x, x0))
        return predicted

    def _predict(self, now: Now, x: Tensor, x0: Tensor) -> Tensor:
        older = recent(now, self._order_at(now))
        return self._update(now, now.t, now.s, x, x0, older, None)

    def _correct(self, now: Now, x: Tensor, x0: Tensor) -> Tensor:
        """The step that led here, again, with the evaluation made here among its points."""
        last = now.past[-1]
        back = Now(now.denoiser, now.cond, now.draws, last.t, now.t, now.step - 1, now.left + 1, now.past[:-1])
        if not np.isfinite(float(now.process.schedule.log_snr(last.t))):
            return x  # from infinite λ the first-order step is all there is
        older = recent(back, self._order_at(back))
        return self._update(back, last.t, now.t, last.x, last.x0, older, x0)

    def _order_at(self, now: Now) -> int:
        return min(self.predictor_order, now.left) if self.lower_order_final else self.predictor_order

    def _update(
        self, now: Now, t: Tensor, s: Tensor, x: Tensor, x0: Tensor, older: list[tuple[float, Tensor]], new: Tensor | None
    ) -> Tensor:
        """x_t -> x_s through D at t, at earlier times and, for the corrector, at s."""
        (alpha_t, sigma_t), (alpha_s, sigma_s) = now.scales(t), now.scales(s)
        e_h = float(sigma_s * alpha_t / (sigma_t * alpha_s))
        base, means = [(sigma_s / sigma_t, x), (alpha_s * (1 - e_h), x0)], [m for _, m in older]
        if new is not None:
            means.append(new)
        if not means:
            return combine(*base)
        h = -float(np.log(e_h))
        points = [gap / h for gap, _ in older] + ([1.0] if new is not None else [])
        rho = _solve(points, h, self.variant)
        gain = float(alpha_s) * _b(h, self.variant)
        differences = [(-gain * weight / r, m) for weight, r, m in zip(rho, points, means, strict=True)]
        back = sum(gain * weight / r for weight, r in zip(rho, points, strict=True))
        return combine(*base, *differences, (back, x0))


def _b(h: float, variant: str) -> float:
    """B(-h): data prediction runs the formulas of noise prediction with -h."""
    return -h if variant == "bh1" else expm1(-h)


def _solve(points: list[float], h: float, variant: str) -> list[float]:
    """The weights of theorem 3.1: sum_m rho_m r_m^(k-1) = k! φ_{k+1}(-h) (-h)^k / (-h)^(k-1) / B for k = 1 .. M.

    One point takes the value that it tends to for small h, 1/2, as published: the order is the same.
    """
    if len(points) == 1:
        return [0.5]
    hh = -h
    rows = np.vander(points, increasing=True).T
    phi, right = expm1(hh) / hh - 1, []
    for k in range(1, len(points) + 1):
        right.append(phi * factorial(k) / _b(h, variant))
        phi = phi / hh - 1 / factorial(k + 1)
    return list(np.linalg.solve(rows, np.array(right)))
