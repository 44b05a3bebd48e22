"""DDPM, Ho et al. 2020; DDIM, Song et al. 2021; multistep consistency sampling, Song et al. 2023.

The first two run on a falling chain of abar_t = prod (1 - beta), from x_T to x_0 with abar_0 = 1, and a variance-preserving
state; `eps(x, i)` is the network at the i-th level of the chain.
"""

from collections.abc import Callable

import numpy as np

from reference.levels import Array

Noise = Callable[[Array, int], Array]


def ddpm(eps: Noise, abar: Array, x: Array, z: Array) -> list[Array]:
    """Algorithm 2 with sigma_t^2 = beta~_t of eq. 7; abar[0] is that of x_T, abar[-1] that of the result."""
    states = []
    for i in range(len(abar) - 1):
        alpha = abar[i] / abar[i + 1]
        beta = 1 - alpha
        beta_tilde = (1 - abar[i + 1]) / (1 - abar[i]) * beta
        x = (x - beta / np.sqrt(1 - abar[i]) * eps(x, i)) / np.sqrt(alpha) + np.sqrt(beta_tilde) * z[i]
        states.append(x)
    return states


def ddim(eps: Noise, abar: Array, x: Array, z: Array, eta: float) -> list[Array]:
    """Eq. 12 with sigma_tau(eta) of eq. 16."""
    states = []
    for i in range(len(abar) - 1):
        a, a_prev = abar[i], abar[i + 1]
        sigma = eta * np.sqrt((1 - a_prev) / (1 - a)) * np.sqrt(1 - a / a_prev)
        e = eps(x, i)
        predicted_x0 = (x - np.sqrt(1 - a) * e) / np.sqrt(a)
        x = np.sqrt(a_prev) * predicted_x0 + np.sqrt(np.maximum(1 - a_prev - sigma**2, 0)) * e + sigma * z[i]
        states.append(x)
    return states


def ddim_v(v: Noise, abar: Array, x: Array) -> list[Array]:
    """Eta = 0 for a network that predicts v = alpha eps - sigma x0, finite at abar = 0. Salimans and Ho 2022."""
    states = []
    for i in range(len(abar) - 1):
        predicted = v(x, i)
        x0 = np.sqrt(abar[i]) * x - np.sqrt(1 - abar[i]) * predicted
        e = np.sqrt(1 - abar[i]) * x + np.sqrt(abar[i]) * predicted
        x = np.sqrt(abar[i + 1]) * x0 + np.sqrt(1 - abar[i + 1]) * e
        states.append(x)
    return states


def consistency(f: Callable[[Array, float], Array], tau: Array, x: Array, z: Array, epsilon: float = 0.0) -> list[Array]:
    """Algorithm 1 of Song et al. 2023: f(x, T), noise up to tau_n, f again; states before each f, then the last f."""
    states = []
    x = f(x, float(tau[0]))
    for n in range(1, len(tau)):
        noisy = x + np.sqrt(tau[n] ** 2 - epsilon**2) * z[n - 1]
        states.append(noisy)
        x = f(noisy, float(tau[n]))
    return [*states, x]
