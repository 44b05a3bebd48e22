"""One call of a denoiser as a function of tensors alone, which is what a graph has."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.frames import Frames
from pellucid.conditioners.given import Given
from pellucid.conditioners.known_tokens import UNKNOWN, KnownTokens
from pellucid.conditioners.label import Label
from pellucid.core.random import Draws, Keyed
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.latent import Latent
from pellucid.denoisers.posterior import Posterior
from pellucid.denoisers.wiener import Wiener
from pellucid.interop.onnx_words import Words
from pellucid.model.model import Model

PROMPTS = ("a red heart", "")
"""That captions are compared with; the second asks for nothing."""


class Step(nn.Module):
    """x0 from x_t, t, numbers that are drawn, and conditions, in this order: see `said`."""

    def __init__(self, denoiser: Denoiser, drawn: Sequence[str], conditions: Sequence[str]) -> None:
        super().__init__()
        self.denoiser, self.drawn, self.conditions = denoiser, tuple(drawn), tuple(conditions)

    def forward(self, *tensors: Tensor) -> Tensor:
        x_t, t, *rest = tensors
        same_rows(x_t, t, *rest)
        drawn, cond = rest[: len(self.drawn)], rest[len(self.drawn) :]
        with Words():
            return said(self.denoiser, x_t, t, Handed(dict(zip(self.drawn, drawn, strict=True))),
                        dict(zip(self.conditions, cond, strict=True)))  # fmt: skip


def same_rows(first: Tensor, *others: Tensor) -> None:
    """Tell whoever traces it that all have as many rows, before shapes are compared that follow from them."""
    for one in others:
        torch._check(one.shape[0] == first.shape[0])  # type: ignore[no-untyped-call]


def said(denoiser: Denoiser, x_t: Tensor, t: Tensor, draws: Draws, cond: Cond) -> Tensor:
    """What a denoiser says of x0: its log-probabilities of tokens, else its mean, else a draw."""
    posterior: Posterior = denoiser(x_t, t, cond or None)
    if "logits" in denoiser.offers:
        return posterior.logits
    return posterior.mean if "mean" in denoiser.offers else posterior.sample(draws, 0)


@dataclass(frozen=True)
class Handed:
    """Draws that come from outside, by what they are for."""

    numbers: Mapping[str, Tensor]

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return self.numbers[purpose]

    uniform = normal


@dataclass(frozen=True)
class Noted:
    """Draws that remember what was asked for: the shape, by what it is for."""

    draws: Draws
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:
        self.shapes[purpose] = tuple(shape)
        return self.draws.normal(purpose, step, shape)

    uniform = normal


@dataclass(frozen=True, kw_only=True)
class Example:
    """What a model is asked, for a number of samples.

    Attributes:
        x_t, t: states and their times, float32, from noise alone on.
        drawn: numbers that an answer is drawn by, where it is.
        cond: an entry of each condition, of which some ask for nothing.
    """

    x_t: Tensor
    t: Tensor
    drawn: dict[str, Tensor]
    cond: dict[str, Tensor]

    @property
    def inputs(self) -> dict[str, Tensor]:
        return {"x_t": self.x_t, "t": self.t, **self.drawn, **self.cond}


@torch.no_grad()
def example_of(model: Model, rows: int, shape: Sequence[int], seed: int) -> Example:
    """Of samples of this shape, in the space that is diffused."""
    denoiser, draws = model.denoiser, Keyed(seed, range(rows))
    process, t = denoiser.process, torch.linspace(1, 0.1, rows, dtype=torch.float64)
    t = (t * denoiser.levels).ceil() / denoiser.levels if isinstance(denoiser, Latent) else process.snap(t)
    u = draws.uniform("clean", 0, shape)
    x0 = (u * model.facts.categories).long() if model.facts.categories else (model.facts.std * 3 * (u - 0.5)).float()
    x_t, noted = process.corrupt(x0, t, process.noise(draws, "noise", 0, shape, t)), Noted(draws)
    readers = {name: one for name, one in model.conditioners.items() if takes(denoiser, name)}
    cond = {name: asked(one, x0) for name, one in readers.items()}
    said(denoiser, x_t, t.float(), noted, cond)  # also fills what is remembered from call to call
    drawn = {name: draws.normal(name, 0, size).float() for name, size in noted.shapes.items()}
    return Example(x_t=x_t, t=t.float(), drawn=drawn, cond=cond)


def takes(denoiser: Denoiser, name: str) -> bool:
    """Whether a graph takes this condition: parts that are given are not for `Wiener`, which solves equations with them."""
    return not (isinstance(denoiser, Wiener) and name == "given")


def asked(conditioner: Conditioner, x0: Tensor) -> Tensor:
    """An entry for each sample of x0; in the first row nothing is known."""
    rows = x0.shape[0]
    if isinstance(conditioner, Label):
        return torch.arange(rows) % (len(conditioner.names) + 1)
    if not isinstance(conditioner, Given | Frames | KnownTokens):
        return conditioner.parse([PROMPTS[row % len(PROMPTS)] for row in range(rows)], rows)
    known = torch.zeros_like(x0, dtype=torch.bool)
    known[1:, :, : max(1, x0.shape[2] // 2)] = True
    return torch.where(known, x0, UNKNOWN if isinstance(conditioner, KnownTokens) else torch.nan)
