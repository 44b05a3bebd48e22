"""Averages of the weights over training whose memory grows with time. Karras et al. 2024 (EDM2), section 3.1."""

from collections.abc import Iterable, Mapping

import numpy as np
import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.training.sharding import own


class PowerEMA:
    """θ̂_t = β_t θ̂_{t-1} + (1 - β_t) θ_t with β_t = (1 - 1/t)^(γ + 1): the weight of step τ is proportional to τ^γ.

    Arguments:
        tensors: the weights to follow, by name.
        width: standard deviation of the averaging profile relative to training's length (σ_rel), 0 < width < 0.28.
    """

    def __init__(self, tensors: Mapping[str, Tensor], width: float) -> None:
        self.width = width
        self.exponent = exponent(width)
        self.average = {name: value.detach().clone() for name, value in tensors.items()}

    def update(self, tensors: Mapping[str, Tensor], step: int) -> None:
        """Take in the weights after `step` steps, step >= 1."""
        keep = (1 - 1 / step) ** (self.exponent + 1)
        names = [name for name, value in self.average.items() if value.is_floating_point()]
        torch._foreach_lerp_([own(self.average[n]) for n in names], [own(tensors[n].detach()) for n in names], 1 - keep)


def exponent(width: float) -> float:
    """γ for a relative width: the real root of γ^3 + 7 γ^2 + (16 - width^-2) γ + 12 - width^-2. EDM2, algorithm 2."""
    if not 0 < width < 0.28:
        raise ConfigError(f"training.ema = {width:g} is out of range: allowed is (0, 0.28), relative to training's length")
    roots = np.roots([1, 7, 16 - width**-2, 12 - width**-2])
    return float(max(roots.real))


def averages(tensors: Mapping[str, Tensor], widths: Iterable[float]) -> list[PowerEMA]:
    """One average for each width."""
    return [PowerEMA(tensors, width) for width in widths]
