"""Karras et al. 2022 (EDM), algorithms 1 and 2, and Euler and Heun steps along a flow's velocity.

iPNDM, which is a multistep method for the same ODE, stands here too.
"""

from collections.abc import Callable

import numpy as np

from reference.levels import Array, Denoise


def stochastic(
    D: Callable[[Array, float], Array], t: Array, x: Array, z: Array, *, second_order: bool, churn: float = 0.0,
    t_min: float = 0.0, t_max: float = np.inf, noise: float = 1.0,
) -> list[Array]:
    """Algorithm 2: sigma(t) = t, s(t) = 1, levels t_0 > .. > t_N = 0. Without `second_order` lines 9 to 11 are left out."""
    N, states = len(t) - 1, []
    for i in range(N):
        gamma = min(churn / N, np.sqrt(2) - 1) if t_min <= t[i] <= t_max else 0.0
        t_hat = t[i] + gamma * t[i]
        x_hat = x + np.sqrt(t_hat**2 - t[i] ** 2) * noise * z[i]
        d = (x_hat - D(x_hat, t_hat)) / t_hat
        x = x_hat + (t[i + 1] - t_hat) * d
        if second_order and t[i + 1] != 0:
            d_prime = (x - D(x, t[i + 1])) / t[i + 1]
            x = x_hat + (t[i + 1] - t_hat) * (d / 2 + d_prime / 2)
        states.append(x)
    return states


def deterministic(
    D: Denoise, t: Array, s: Array, d_s: Array, sigma: Array, d_sigma: Array, x: Array, *, second_order: bool
) -> list[Array]:
    """Algorithm 1: any scaling s(t) and noise level sigma(t) in units of the data, with their derivatives."""

    def slope(x: Array, i: int) -> Array:
        denoised = D(x, s[i], s[i] * sigma[i])  # the paper's D(x / s; sigma)
        return (d_sigma[i] / sigma[i] + d_s[i] / s[i]) * x - d_sigma[i] * s[i] / sigma[i] * denoised

    states = []
    for i in range(len(t) - 1):
        d = slope(x, i)
        start, x = x, x + (t[i + 1] - t[i]) * d
        if second_order and sigma[i + 1] != 0:
            x = start + (t[i + 1] - t[i]) * (d + slope(x, i + 1)) / 2
        states.append(x)
    return states


def flow(D: Denoise, t: Array, x: Array, *, second_order: bool) -> list[Array]:
    """Rectified flow, dx/dt = v = E[eps - x0 | x], Liu et al. 2022; Heun's rule except where t ends at 0."""

    def v(x: Array, t: float) -> Array:
        x0 = D(x, 1 - t, t)
        return (x - (1 - t) * x0) / t - x0

    states = []
    for i in range(len(t) - 1):
        d = v(x, t[i])
        start, x = x, x + (t[i + 1] - t[i]) * d
        if second_order and t[i + 1] != 0:
            x = start + (t[i + 1] - t[i]) * (d + v(x, t[i + 1])) / 2
        states.append(x)
    return states


def ipndm(eps: Callable[[Array, int], Array], alpha: Array, sigma: Array, x: Array, order: int) -> list[Array]:
    """Liu et al. 2022 (PNDM): Adams-Bashforth on eps, then the transfer of DDIM.

    The first steps use what evaluations there are, with the weights of lower order: iPNDM of Zhang and Chen 2023 (DEIS).
    """
    states, e = [], []
    for i in range(len(alpha) - 1):
        e.insert(0, eps(x, i))
        match min(order, len(e)):
            case 1:
                step = e[0]
            case 2:
                step = (3 * e[0] - e[1]) / 2
            case 3:
                step = (23 * e[0] - 16 * e[1] + 5 * e[2]) / 12
            case _:
                step = (55 * e[0] - 59 * e[1] + 37 * e[2] - 9 * e[3]) / 24
        x = alpha[i + 1] * (x - sigma[i] * step) / alpha[i] + sigma[i + 1] * step
        states.append(x)
    return states
