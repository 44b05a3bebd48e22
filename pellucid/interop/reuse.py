"""Features that change slowly from step to step, computed every few steps alone. Ma et al. 2024 (DeepCache), section 3.2.

Of a U-Net the finest level is computed at every call, and what lies below it at every k-th; in between its last answer
stands. What that costs in quality depends on the model, the sampler and the steps: `measure` tells.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.model.model import Model
from pellucid.networks.unet import UNet

CHECKED = 8
"""Samples by which the cost is measured, at most."""


@dataclass
class Clock:
    """Tells at each call of the network whether the slow part is computed anew: at the first of every `every` calls, and
    where the noise level rises, since then other samples begin.
    """

    every: int
    calls: int = 0
    level: float = float("-inf")
    fresh: bool = True

    def tick(self, level: float) -> None:
        """Another call, at a noise level."""
        self.calls = 0 if level > self.level else self.calls + 1
        self.level, self.fresh = level, self.calls % self.every == 0


class Reused(nn.Module):
    """`inner`, or its last answer while the clock says so and as many samples come as then."""

    def __init__(self, inner: nn.Module, clock: Clock) -> None:
        super().__init__()
        self.inner, self.clock = inner, clock
        self._last: tuple[int, Any] | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("inner"), name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        rows = len(next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)))
        if self.clock.fresh or self._last is None or self._last[0] != rows:
            self._last = rows, self.inner(*args, **kwargs)
        return self._last[1]


def reuse(model: Model, every: int) -> None:
    """Have the model's network compute its coarse features at every `every`-th call alone.

    Raises:
        ConfigError: `every` is no whole number from 2.
        UnsupportedError: a network that is no U-Net of two levels or more.
    """
    if every < 2:
        raise ConfigError(f"reuse = {every}: expected 2 or more, the calls for which coarse features are kept")
    network: Any = getattr(model.denoiser, "network", None)
    clock = Clock(every)
    if isinstance(network, UNet) and hasattr(network.levels, "inner"):
        inner: Any = network.levels.inner
        network.levels.inner = Reused(inner, clock)
    elif len(getattr(network, "down_blocks", ())) > 1:  # of diffusers
        for blocks, slow in ((network.down_blocks, slice(1, None)), (network.up_blocks, slice(None, -1))):
            for place in range(len(blocks))[slow]:
                blocks[place] = Reused(blocks[place], clock)
        if network.mid_block is not None:
            network.mid_block = Reused(network.mid_block, clock)
    else:
        kind = type(network or model.denoiser).__name__
        raise UnsupportedError(f"A {kind} has no coarser levels whose features could be reused: leave reuse out")
    network.register_forward_pre_hook(lambda _module, inputs: clock.tick(float(torch.as_tensor(inputs[1]).max())))


@dataclass(frozen=True)
class Cost:
    """Of reuse: root mean square of the difference to samples without it, per value, and how many times as fast it is."""

    difference: float
    speed: float


def measure(model: Model, every: int, n: int, **settings: Any) -> Cost:
    """Have the model reuse features, and draw up to eight samples without and with that; settings as for `Model.sample`."""
    made = [model.sample(min(n, CHECKED), **settings)]
    reuse(model, every)
    made.append(model.sample(min(n, CHECKED), **settings))
    ((plain, reused),) = pairwise(made)
    difference = (plain.data.double() - reused.data.double()).square().mean().sqrt()
    return Cost(float(difference), plain.seconds / reused.seconds)
