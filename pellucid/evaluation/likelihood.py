"""How probable data is under a model: exactly along the probability-flow ODE, or from below by the ELBO.

Both work with y = x_t / alpha_t at log-SNR λ = -2 log u, u = sigma_t / alpha_t, between two noise levels u_min and u_max in
units of the data. All values are in nats, of the density of the data as given; `bits_per_dim` converts.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import log, pi

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws
from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.losses.elbo import rates
from pellucid.processes.discrete import Discrete

GOLDEN = 0.618033988749895
EXACT_DIVERGENCE = 128
"""Up to this many dimensions the divergence is summed exactly, one gradient each; beyond it is estimated."""


@dataclass(frozen=True, kw_only=True)
class Prior:
    """The Gaussian that stands for the data at the highest noise level: N(mean, u_max^2 + std^2)."""

    mean: float = 0.0
    std: float = 0.0


def ode_log_likelihood(
    denoiser: Denoiser,
    x0: Tensor,
    *,
    steps: int = 128,
    u_min: float = 2e-3,
    u_max: float = 80.0,
    prior: Prior | None = None,
    draws: Draws | None = None,
    cond: Cond | None = None,
) -> Tensor:
    """log p(x0) in nats, (B,). Song et al. 2021 (Score SDE), eq. 39, along l = log u:

        dy/dl = y - D(y),     log p(x0) = log p(y at u_max) + ∫ (d - tr ∂D/∂y) dl

    by the classical Runge-Kutta method; the trace is exact up to 128 dimensions, else Hutchinson's estimate with one random
    sign vector per sample (Grathwohl et al. 2019), which needs `draws`.

    Arguments:
        x0: (B, C, *space) or (B, D).
        steps: of the integrator; four evaluations with gradients each.
        u_min, u_max: noise levels between which is integrated; the highest gives way to that of the schedule.
    """
    u_max = _check(denoiser, u_max)
    count, dim = len(x0), x0[0].numel()
    signs = None
    if dim > EXACT_DIVERGENCE:
        if draws is None:
            raise UnsupportedError(f"{dim} dimensions need an estimated divergence: pass draws")
        signs = torch.sign(draws.uniform("divergence", 0, x0.shape[1:]) - 0.5).to(x0)

    def flow(level: float, y: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            y = y.detach().requires_grad_()
            mean = _denoise(denoiser, y, level, cond)
            trace = _trace(mean, y, signs)
        return (y - mean).detach(), dim - trace

    y, total = x0.clone(), torch.zeros(count, dtype=torch.float64)
    edges = np.linspace(log(u_min), log(u_max), steps + 1)
    for low, high in pairwise(edges):
        h = float(high - low)
        k1, d1 = flow(low, y)
        k2, d2 = flow(low + h / 2, y + h / 2 * k1)
        k3, d3 = flow(low + h / 2, y + h / 2 * k2)
        k4, d4 = flow(high, y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        total += (h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)).double().cpu()
    prior = prior or Prior()
    variance = u_max**2 + prior.std**2
    distance = ((y - prior.mean).double() ** 2).flatten(1).sum(1).cpu()
    return total - distance / (2 * variance) - dim / 2 * log(2 * pi * variance)


def elbo(
    denoiser: Denoiser,
    x0: Tensor,
    draws: Draws,
    *,
    levels: int = 256,
    u_min: float = 2e-3,
    u_max: float = 80.0,
    prior: Prior | None = None,
    cond: Cond | None = None,
) -> Tensor:
    """A lower bound of log p(x0) in nats, (B,), in continuous time. Kingma et al. 2021 (VDM), eq. 15:

        log p(x0) >= -KL(q(y_max | x0) | prior) + E log N(x0; y_min, u_min^2) - 1/2 ∫ SNR E|x0 - D|^2 dλ

    An unbiased estimate with `levels` evaluations per sample, their log-SNR stratified; |eps|^2, which dominates the
    integrand where the error is all noise, serves as control variate. Tight for the exact denoiser.
    """
    u_max = _check(denoiser, u_max)
    dim, prior = x0[0].numel(), prior or Prior()
    low, high = -2 * log(u_max), -2 * log(u_min)
    offset, spread = draws.uniform("level", 0, ()), prior.std or 1.0
    integral = torch.zeros(len(x0), dtype=torch.float64)
    with torch.no_grad():
        for i in range(levels):
            log_snr = low + (high - low) * (i + (offset + i * GOLDEN) % 1) / levels
            eps = draws.normal("elbo", i, x0.shape[1:]).to(x0)
            y = x0 + expand(torch.exp(-log_snr / 2), x0).to(x0) * eps
            error = (x0 - _denoise(denoiser, y, -log_snr / 2, cond)).double().cpu().flatten(1)
            known = (1 + torch.exp(-log_snr) / spread**2) ** -2  # share of |eps|^2 for Gaussian data of this spread
            surplus = (eps.double().cpu().flatten(1) ** 2 - 1).sum(1)
            integral += torch.exp(log_snr) * (error**2).sum(1) - known * surplus
    variance = u_max**2 + prior.std**2
    square = ((x0 - prior.mean).double() ** 2).flatten(1).sum(1).cpu()
    kl = 0.5 * (dim * (u_max**2 / variance - 1 + log(variance / u_max**2)) + square / variance)
    reconstruction = -dim / 2 * (log(2 * pi * u_min**2) + 1)
    return reconstruction - kl - (high - low) / (2 * levels) * integral


def token_elbo(
    denoiser: Denoiser, x0: Tensor, draws: Draws, *, levels: int = 64, given: int = 0, cond: Cond | None = None
) -> Tensor:
    """A lower bound of log p(x0) in nats, (B,), of tokens (B, 1, L), in continuous time: minus the mean of the rates of
    `Discrete.rate` over `levels` stratified times. Tight for the exact denoiser.

    Arguments:
        given: tokens at the beginning that are known, given which is what the probability is.
    """
    noisy = torch.arange(x0.shape[-1]) >= given
    process, total = Discrete.of(denoiser.process), torch.zeros(len(x0), dtype=torch.float64)
    offset = draws.uniform("level", 0, ())
    with torch.no_grad():
        for i in range(levels):
            t = torch.where(noisy, expand((i + (offset + i * GOLDEN) % 1) / levels, x0), 0.0)
            x_t = process.corrupt(x0, t, draws.uniform("elbo", i, x0.shape[1:]))
            where, _, rate = rates(denoiser, x0, x_t, t.expand(x0.shape), cond)
            total.index_add_(0, where.nonzero()[:, 0].cpu(), rate.double().cpu())
    return -total / levels


def bits_per_dim(log_likelihood: Tensor, dim: int, *, step: float = 1.0) -> Tensor:
    """-log2 p per dimension, of data rounded to multiples of `step` and spread uniformly over each of them.

    For 8-bit pictures in [-1, 1] the step is 2 / 255; dequantised, the density bounds the discrete probability from below
    (Theis et al. 2016, section 3.1).
    """
    return (-log_likelihood / dim - log(step)) / log(2)


def _check(denoiser: Denoiser, u_max: float) -> float:
    """u_max within the schedule's range."""
    if not denoiser.process.gaussian:
        raise UnsupportedError(f"Likelihoods assume Gaussian noise; {type(denoiser.process).__name__} adds another kind")
    if "mean" not in denoiser.offers:
        raise UnsupportedError(f"Likelihoods need the mean of p(x0 | x_t), which {type(denoiser).__name__} does not offer")
    one = torch.ones((), dtype=torch.float64)
    return min(u_max, float(denoiser.process.schedule.sigma(one) / denoiser.process.schedule.alpha(one)))


def _denoise(denoiser: Denoiser, y: Tensor, level: float | Tensor, cond: Cond | None) -> Tensor:
    """D at y = x_t / alpha_t, level = log u, a number or (B,)."""
    schedule = denoiser.process.schedule
    t = schedule.time_at_ratio(torch.as_tensor(level, dtype=torch.float64).exp())
    mean: Tensor = denoiser(expand(schedule.alpha(t), y).to(y) * y, t, cond).mean
    return mean


def _trace(mean: Tensor, y: Tensor, signs: Tensor | None) -> Tensor:
    """tr ∂mean/∂y for each sample: exact, or s^T (∂mean/∂y) s for the given signs."""
    if signs is not None:
        (product,) = torch.autograd.grad((mean * signs).sum(), y)
        return (product * signs).flatten(1).sum(1)
    flat = mean.flatten(1)
    units = torch.eye(flat.shape[1]).to(flat)[:, None].expand(-1, len(y), -1)
    (rows,) = torch.autograd.grad(flat, y, units, is_grads_batched=True)
    return rows.flatten(2).diagonal(dim1=0, dim2=2).sum(1)

