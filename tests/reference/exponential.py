"""DPM-Solver++ and its SDE, Lu et al. 2022; UniPC, Zhao et al. 2023: multistep in lambda = log(alpha / sigma), D = x_theta.

The papers' levels end at a finite lambda. A last level with sigma = 0 is reached by the first-order step, whose limit
for h -> infinity is x = D, as in the authors' code ("lower order final"). A first level with alpha = 0 is left by the
same step in its limit x = sigma_1 / sigma_0 x + alpha_1 D, and the method starts at the second level.
"""

from math import factorial

import numpy as np

from reference.levels import Array, Denoise


def _lambda(alpha: Array, sigma: Array) -> Array:
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(alpha) - np.log(sigma))


def dpm_solver_2m(D: Denoise, alpha: Array, sigma: Array, x: Array) -> list[Array]:
    """Algorithm 2, DPM-Solver++(2M)."""
    lam = _lambda(alpha, sigma)
    states, Q = [], []
    for i in range(1, len(lam)):
        Q.append(D(x, alpha[i - 1], sigma[i - 1]))
        h = lam[i] - lam[i - 1]
        D_i = Q[-1]
        if len(Q) > 1 and np.isfinite(lam[[i, i - 1, i - 2]]).all():
            r = (lam[i - 1] - lam[i - 2]) / h
            D_i = (1 + 1 / (2 * r)) * Q[-1] - 1 / (2 * r) * Q[-2]
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (np.exp(-h) - 1) * D_i
        states.append(x)
    return states


def dpm_solver_3m(D: Denoise, alpha: Array, sigma: Array, x: Array) -> list[Array]:
    """The exact solution (proposition 4.1) with D a parabola in lambda through three evaluations: third order.

    D(v) = D + D' v + D'' v^2 / 2 at v beyond lambda_(i-1), integrated against e^(v - h) from 0 to h. The second step is
    that of algorithm 2. The authors' code and diffusers halve the term in D'', which leaves second order: not followed here.
    """
    lam = _lambda(alpha, sigma)
    states, Q = [], []
    for i in range(1, len(lam)):
        Q.append(D(x, alpha[i - 1], sigma[i - 1]))
        h = lam[i] - lam[i - 1]
        usable = int(np.isfinite(lam[max(i - 3, 0) : i]).sum()) if np.isfinite(lam[i]) else 1
        new = sigma[i] / sigma[i - 1] * x - alpha[i] * np.expm1(-h) * Q[-1]
        if usable == 2:
            new = new - alpha[i] * np.expm1(-h) * h / 2 * (Q[-1] - Q[-2]) / (lam[i - 1] - lam[i - 2])
        if usable == 3:
            u, w = lam[i - 1] - lam[i - 2], lam[i - 1] - lam[i - 3]
            first, second = (Q[-1] - Q[-2]) / u, (Q[-1] - Q[-3]) / w  # D' - u D'' / 2 and D' - w D'' / 2
            d2 = 2 * (first - second) / (w - u)
            d1 = first + u * d2 / 2
            new = new + alpha[i] * ((h + np.expm1(-h)) * d1 + (h**2 / 2 - h - np.expm1(-h)) * d2)
        x = new
        states.append(x)
    return states


def sde_dpm_solver_2m(D: Denoise, alpha: Array, sigma: Array, x: Array, z: Array, order: int = 2) -> list[Array]:
    """SDE-DPM-Solver++1 and SDE-DPM-Solver++(2M), the paper's section on solvers for diffusion SDEs."""
    lam = _lambda(alpha, sigma)
    states, Q = [], []
    for i in range(1, len(lam)):
        Q.append(D(x, alpha[i - 1], sigma[i - 1]))
        h = lam[i] - lam[i - 1]
        new = sigma[i] / sigma[i - 1] * np.exp(-h) * x + alpha[i] * (1 - np.exp(-2 * h)) * Q[-1]
        if order == 2 and len(Q) > 1 and np.isfinite(lam[[i, i - 1, i - 2]]).all():
            r = (lam[i - 1] - lam[i - 2]) / h
            new = new + alpha[i] * (1 - np.exp(-2 * h)) / (2 * r) * (Q[-1] - Q[-2])
        x = new + sigma[i] * np.sqrt(1 - np.exp(-2 * h)) * z[i - 1]
        states.append(x)
    return states


def unipc(D: Denoise, alpha: Array, sigma: Array, x: Array, *, p: int, B: str, corrector: bool = True) -> list[Array]:
    """UniPC-p with data prediction (the paper's appendix), or UniP-p without the corrector.

    Step i has order p_i = min(p, steps from the start, steps to the end). The predicted states are returned; the corrected
    ones are where the next steps start from. A coefficient that stands alone is 1/2, its limit for small h.
    """
    lam = _lambda(alpha, sigma)
    M = len(lam) - 1
    first = 0 if np.isfinite(lam[0]) else 1
    states, Q = [], []
    corrected = x
    for i in range(1, M + 1):
        Q.append(D(x, alpha[i - 1], sigma[i - 1]))
        if corrector and i - 2 >= first:
            p_c = min(p, i - 1 - first, M - (i - 1) + 1)
            corrected = _unified(Q, lam, alpha, sigma, i - 1, corrected, p_c, B, Q[-1])
        else:
            corrected = x
        x = _unified(Q, lam, alpha, sigma, i, corrected, max(1, min(p, i - first, M - i + 1)), B, None)
        states.append(x)
    return states


def _unified(
    Q: list[Array], lam: Array, alpha: Array, sigma: Array, i: int, x: Array, p: int, kind: str, D_new: Array | None
) -> Array:
    """One step from level i - 1 to i. UniP-p has p - 1 differences at r_m < 0; UniC-p also the new point, r_p = 1."""
    h = lam[i] - lam[i - 1]
    D_0 = Q[i - 1]
    r = [(lam[i - 1 - m] - lam[i - 1]) / h for m in range(1, p)] + ([] if D_new is None else [1.0])
    differences = [Q[i - 1 - m] - D_0 for m in range(1, p)] + ([] if D_new is None else [D_new - D_0])
    x = sigma[i] / sigma[i - 1] * x + alpha[i] * -np.expm1(-h) * D_0
    if not r:
        return x
    B = h if kind == "bh1" else -np.expm1(-h)
    if len(r) == 1:
        a = np.array([0.5])
    else:  # R_p(h) a_p B(h) = g_p(h), each row k divided by h^(k - 1)
        n = len(r)
        R = np.array([[r_m ** (k - 1) for r_m in r] for k in range(1, n + 1)])
        a = np.linalg.solve(R, [h * factorial(k) * _psi(k + 1, h) / B for k in range(1, n + 1)])
    return np.asarray(x + alpha[i] * B * sum(a_m / r_m * d for a_m, r_m, d in zip(a, r, differences, strict=True)))


def _psi(k: int, h: float) -> float:
    """psi_0 = e^-h, psi_(k+1) = (1 / k! - psi_k) / h."""
    return float(np.exp(-h)) if k == 0 else (1 / factorial(k - 1) - _psi(k - 1, h)) / h
