"""What runs a network in place of torch: checked against it, and chosen where it is faster."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, Literal, Self

import torch
from torch import Tensor, nn

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Keyed
from pellucid.denoisers.categorical import Categorical
from pellucid.denoisers.predicting import Predicting
from pellucid.interop.instead import Instead
from pellucid.interop.onnx_runtime import OnnxRuntime
from pellucid.interop.packed import Packed
from pellucid.model.model import Model

Kind = Literal["torch", "packed", "onnx", "auto"]
ENGINES: dict[str, type[Instead]] = {"packed": Packed, "onnx": OnnxRuntime}
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 3e-2}
"""Of the greatest difference to torch, relative to the greatest value."""
GAIN, ROUNDS = 1.05, 3
"""How much faster one has to be to be chosen, as the median of so many calls in turn."""


@dataclass(frozen=True)
class Gain:
    """What an engine changes: the greatest difference, relative to the greatest value, and its speed over torch's."""

    engine: str
    difference: float
    speed: float


def accelerate(model: Model, kind: Kind, *, rows: int = 8) -> Gain | None:
    """Have the model's network run by the engine that is named, or, if `kind` is "auto", by the fastest that there is.

    Arguments:
        rows: samples at once by which it is compared with torch.

    Returns:
        What it changes; None where torch goes on.

    Raises:
        UnsupportedError: for one by name: not installed, not for this model or device, or its answers differ from torch's.
    """
    if kind == "torch":
        return None
    ready: dict[Instead, float] = {}
    try:
        trial = _Trial.of(model, rows)
        for engine in ENGINES.values() if kind == "auto" else [ENGINES[kind]]:
            try:
                answering = engine(trial.plain)
                ready[answering] = trial.difference(answering)
            except UnsupportedError:
                if kind != "auto":
                    raise
    except UnsupportedError:
        if kind != "auto":
            raise
        return None
    speeds = trial.speeds(list(ready), ROUNDS if kind == "auto" else 1)
    best = max(speeds, key=lambda one: speeds[one], default=None)
    if best is None or (kind == "auto" and speeds[best] < GAIN):
        return None
    trial.denoiser.network = best
    return Gain(best.called, ready[best], speeds[best])


@dataclass(frozen=True)
class _Trial:
    """Calls of a denoiser as sampling makes them, by its own network or by another."""

    denoiser: Any
    plain: nn.Module
    x: Tensor
    t: Tensor
    cond: Mapping[str, Tensor] | None
    tolerance: float

    @classmethod
    def of(cls, model: Model, rows: int) -> Self:
        denoiser: Any = model.denoiser
        known = isinstance(denoiser, Predicting | Categorical)
        if not known or not isinstance(plain := getattr(denoiser, "network", None), nn.Module):
            raise UnsupportedError(f"A {type(denoiser).__name__} has no network for an engine to run: leave engine out")
        if model.device.type != "cpu" or model.dtype not in TOLERANCES:
            raise UnsupportedError("Engines are used on the CPU, and in float32 or bfloat16 alone: leave engine out")
        t = torch.linspace(0.2, 0.8, rows, dtype=torch.float64)
        x = model.first(Keyed(0, range(rows)), torch.ones((), dtype=torch.float64))
        cond = {name: one.null(rows) for name, one in model.conditioners.items()} or None
        return cls(denoiser, plain, x, t, cond, TOLERANCES[model.dtype])

    @torch.no_grad()
    def answer(self, network: nn.Module) -> Tensor:
        self.denoiser.network = network
        try:
            tokens = isinstance(self.denoiser, Categorical)
            found: Tensor = (self.denoiser(self.x, self.t, self.cond).logits.exp() if tokens
                             else self.denoiser.predict(self.x, self.t, self.cond))  # fmt: skip
        finally:
            self.denoiser.network = self.plain
        return found

    def difference(self, engine: Instead) -> float:
        """The greatest, relative to the greatest value.

        Raises:
            UnsupportedError: more than rounding.
        """
        expected, found = self.answer(self.plain).float(), self.answer(engine).float()
        difference = float((found - expected).abs().max() / expected.abs().max())
        if not difference <= self.tolerance:
            raise UnsupportedError(f"Answers by {engine.called} differ from torch's by {difference:.1g} of the largest, "
                                   f"more than {self.tolerance:g}: leave engine out")  # fmt: skip
        return difference

    def speeds(self, engines: list[Instead], rounds: int) -> dict[Instead, float]:
        """Of each, over torch's: the median of calls in turn."""
        taken: dict[nn.Module, list[float]] = {network: [] for network in (self.plain, *engines)}
        for _ in range(rounds):
            for network, seconds in taken.items():
                start = perf_counter()
                self.answer(network)
                seconds.append(perf_counter() - start)
        return {engine: median(taken[self.plain]) / median(taken[engine]) for engine in engines}
