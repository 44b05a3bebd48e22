"""Weights of multistep methods: integrals of the polynomials through past evaluations."""

from collections.abc import Callable, Sequence

import numpy as np

_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(24)


def multistep_weights(nodes: Sequence[float], end: float, kernel: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    """w_j = ∫_0^end kernel(u) L_j(u) du, with L_j the Lagrange polynomial that is 1 at nodes[j] and 0 at the others.

    By 24-point Gauss-Legendre quadrature, which unlike the closed form does not cancel when the step is small.
    """
    u = end * (_POINTS + 1) / 2
    weights = []
    for j, node in enumerate(nodes):
        basis = np.ones_like(u)
        for i, other in enumerate(nodes):
            if i != j:
                basis = basis * (u - other) / (node - other)
        weights.append(float(end / 2 * np.sum(_WEIGHTS * kernel(u) * basis)))
    return weights
