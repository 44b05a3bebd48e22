"""The exact posterior mean of a finite data set that is read in pieces, so that its size does not matter for memory.

    E[x0 | x_t] = sum_i w_i y_i,    w_i ∝ exp(-|x_t - alpha y_i|² / 2 sigma²)

is `denoisers.Dataset` with the softmax taken online: when a piece holds a larger exponent than all before it, what was
summed is scaled down to it (Milakov & Gimelshein 2018, "Online normalizer calculation for softmax", algorithm 3).
"""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from pellucid.schedules.schedule import Schedule


def exact_mean(
    x_t: Tensor, t: Tensor, schedule: Schedule, pieces: Iterable[tuple[Tensor, Tensor]], labels: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """The mean, and how many points share its weight, for Gaussian noise.

    Arguments:
        x_t: (B, C, *space).
        t: (B,).
        pieces: (N, C, *space) points of the data set and their labels (N,), one piece after the other.
        labels: (B,) for a posterior over the points of that label alone.

    Returns:
        Means of the shape of `x_t` and effective numbers of points 1 / sum w_i² (B,), both float64.
    """
    flat = x_t.flatten(1).double()
    alpha, sigma = schedule.alpha(t)[:, None].to(flat), schedule.sigma(t)[:, None].to(flat)
    peak = torch.full_like(alpha, -torch.inf)
    mass, squares, total = torch.zeros_like(alpha), torch.zeros_like(alpha), torch.zeros_like(flat)
    for points, names in pieces:
        for rows, chosen in _matching(labels, names, len(flat)):
            y = points[chosen].flatten(1).to(flat)
            # -|x - alpha y|² / 2 sigma², less the part that is the same for all points
            energy = (alpha[rows] * (flat[rows] @ y.T) - alpha[rows] ** 2 * (y**2).sum(1) / 2) / sigma[rows] ** 2
            top = torch.maximum(peak[rows], energy.amax(1, keepdim=True))
            weights, fade = (energy - top).exp_(), (peak[rows] - top).exp()
            mass[rows] = fade * mass[rows] + weights.sum(1, keepdim=True)
            total[rows] = fade * total[rows] + weights @ y
            squares[rows] = fade**2 * squares[rows] + weights.square_().sum(1, keepdim=True)
            peak[rows] = top
    return (total / mass).reshape(x_t.shape), (mass**2 / squares)[:, 0]


def _matching(labels: Tensor | None, names: Tensor, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Which rows of `count` meet which points of a piece: all of them, or those of each label."""
    if labels is None:
        yield torch.arange(count), torch.arange(len(names))
        return
    for label in set(labels.tolist()):
        chosen = (names == label).nonzero()[:, 0]
        if len(chosen):
            yield (labels == label).nonzero()[:, 0], chosen
