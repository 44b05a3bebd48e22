"""Noise levels (alpha, sigma) of the published schedules, and the exact denoiser of a Gaussian mixture.

    table      DDPM: beta_1 = 1e-4 .. beta_T = 0.02, T = 1000. Ho et al. 2020, section 4; step k stands at t = (k + 1) / T
    zero       Stable Diffusion's table, rescaled to zero terminal SNR. Lin et al. 2024, algorithm 1
    linear     the continuous limit of `table`. Song et al. 2021 (Score SDE), eq. 33
    edm        alpha = 1, sigma = 80 t. Karras et al. 2022, table 1
    rectified  alpha = 1 - t, sigma = t. Liu et al. 2022, eq. 1
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Denoise = Callable[[Array, float, float], Array]
"""D(x, alpha, sigma) = E[x0 | alpha x0 + sigma eps = x], (B, D) -> (B, D)."""


def alphas_bar(kind: str) -> Array:
    """abar_0 = 1 and abar_1 .. abar_T of a table."""
    if kind == "table":
        return np.append(1.0, np.cumprod(1 - np.linspace(1e-4, 0.02, 1000)))
    root = np.sqrt(np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2))
    shifted = (root - root[-1]) * root[0] / (root[0] - root[-1])
    return np.append(1.0, shifted**2)


def levels(kind: str, t: Array) -> tuple[Array, Array]:
    """(alpha, sigma) at times t."""
    match kind:
        case "table" | "zero":
            step = np.rint(t * 1000).astype(int)
            assert np.allclose(step, t * 1000)
            bar = alphas_bar(kind)[step]
            return np.sqrt(bar), np.sqrt(1 - bar)
        case "linear":
            log_alpha = -0.25 * t**2 * (20 - 0.1) - 0.5 * t * 0.1
            return np.exp(log_alpha), np.sqrt(-np.expm1(2 * log_alpha))
        case "edm":
            return np.ones_like(t), 80 * t
        case "rectified":
            return 1 - t, t
    raise ValueError(kind)


def mixture(weights: Array, means: Array, covariances: Array) -> Denoise:
    """D of p(x0) = sum_i w_i N(m_i, S_i): Bayes' rule with C_i = alpha^2 S_i + sigma^2 I."""

    def denoise(x: Array, alpha: float, sigma: float) -> Array:
        log_weight, guess = [], []
        for w, m, S in zip(weights, means, covariances, strict=True):
            C = alpha**2 * S + sigma**2 * np.eye(len(m))
            gap = x - alpha * m
            solved = np.linalg.solve(C, gap.T).T
            log_weight.append(np.log(w) - 0.5 * np.sum(gap * solved, 1) - 0.5 * np.linalg.slogdet(C)[1])
            guess.append(m + alpha * solved @ S)
        share = np.exp(np.array(log_weight) - np.max(log_weight, axis=0))
        return np.asarray(np.einsum("ib,ibd->bd", share / share.sum(0), np.array(guess)))

    return denoise


def slopes(kind: str, t: Array) -> tuple[Array, Array]:
    """d alpha / dt and d (sigma / alpha) / dt of "linear" and "edm", by differentiating the lines above."""
    alpha, sigma = levels(kind, t)
    if kind == "edm":
        return np.zeros_like(t), np.full_like(t, 80.0)
    d_log_alpha = -0.5 * t * (20 - 0.1) - 0.5 * 0.1
    return d_log_alpha * alpha, -d_log_alpha / (alpha * sigma)  # (sigma / alpha)^2 = 1 / alpha^2 - 1
