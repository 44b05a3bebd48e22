"""A small recurrent network, trained the same whatever ran before: what the scores of series are taken with."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam

from pellucid.core.random import Key
from pellucid.networks.initialise import initialise

BATCH = 128


class Recurrent(nn.Module):
    """Windows (B, L, C) -> an answer (B, L, 1) at each step: one layer of gated units (Cho et al. 2014), then a linear
    map."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.memory = nn.GRU(channels, width, batch_first=True)
        self.answer = nn.Linear(width, 1)
        for bias in (value for name, value in self.named_parameters() if "bias" in name):
            nn.init.zeros_(bias)  # torch draws them at random

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.answer(self.memory(x)[0])
        return found


def fit(
    network: Recurrent, loss: Callable[[Tensor], Tensor], count: int, *, iterations: int, rate: float, key: Key
) -> None:
    """Train by Adam on batches of places in range(count), drawn by key.

    Arguments:
        loss: of a batch of places (B,).
    """
    initialise(network, key)
    optimiser = Adam(network.parameters(), lr=rate)
    places = (key.at(1).uniform([0], (iterations * BATCH,))[0] * count).long().reshape(iterations, BATCH)
    for batch in places:
        optimiser.zero_grad()
        value: Any = loss(batch)
        value.backward()
        optimiser.step()


def to_unit(real: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (N, C, L) as (N, L, C), each column of both from what is 0 to what is 1 for the real ones."""
    low = real.amin((0, 2), keepdim=True)
    reach = (real.amax((0, 2), keepdim=True) - low).clamp(min=torch.finfo(real.dtype).tiny)
    first, second = (((x - low) / reach).float().transpose(1, 2) for x in (real, other))
    return first, second
