"""Which parts of training samples are shown to the model as known."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.core.random import Draws

WHOLE = 0.25
"""Probability that some channels are known from beginning to end, where there are several."""


@dataclass(frozen=True)
class Revealing:
    """Masks (B, C, *space), true where a value is known, so that one model learns to continue, to fill in and to make whole.

    In a share 1 - `share` of the samples nothing is known. In the others, along the first axis of space, with equal
    probability: a beginning of any length; all but a stretch; or each value by itself, with a probability that is uniform
    for each sample (Tashiro et al. 2021, CSDI, section 3.3, "random" and "forecasting"). Of several channels, in one such
    sample of four each is known as a whole with probability 1/2 besides, as covariates are.

    Arguments:
        share: of samples of which anything is known.
    """

    share: float

    def __call__(self, draws: Draws, epoch: int, shape: Sequence[int]) -> Tensor:
        """For the shape (C, *space) of a sample."""
        channels, length, *rest = shape
        choice, low, high, whole = draws.uniform("reveal", epoch, (4,)).T
        place = (torch.arange(length, dtype=torch.float64) + 0.5) / length
        first, last = (end[:, None] for end in (torch.minimum(low, high), torch.maximum(low, high)))
        beginning = place < low[:, None]
        around = (place < first) | (place > last)
        points = draws.uniform("reveal points", epoch, (channels, length)) < low[:, None, None]
        kind = (3 * choice / self.share).long() if self.share else torch.full(choice.shape, 3)
        lines = torch.where((kind == 0)[:, None], beginning, around)[:, None].expand(-1, channels, -1)
        known = torch.where((kind == 2)[:, None, None], points, lines)
        if channels > 1:
            covariates = (draws.uniform("reveal channels", epoch, (channels,)) < 0.5) & (whole < WHOLE)[:, None]
            known = known | covariates[:, :, None]
        known = known & (choice < self.share)[:, None, None]
        whole_space: Tensor = known.reshape(*known.shape, *[1] * len(rest)).expand(-1, channels, length, *rest)
        return whole_space
