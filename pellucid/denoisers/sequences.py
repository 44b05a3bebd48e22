"""The exact denoiser of a finite set of sequences of tokens, each with its probability."""

from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import NEVER, Categories, choose
from pellucid.processes.discrete import Discrete
from pellucid.processes.masked import Masked

LAST = 1 - 1e-12  # at t = 1 itself nothing can be seen of x0, not even what is known of it


class Sequences(Denoiser):
    """p(x0 | x_t) ~ w_i q(x_t | x0 = y_i): all that can be known where the N sequences y_i are all that there are.

    Arguments:
        process: of tokens.
        sequences: (N, C, *space), int64.
        weights: (N,) their probabilities.
    """

    offers: frozenset[str] = frozenset({"logits", "sample"})

    def __init__(self, process: Discrete, *, sequences: Tensor, weights: Tensor) -> None:
        super().__init__(process)
        self.sequences, self.weights = sequences, weights.double()

    @classmethod
    def example(cls) -> Self:
        sequences = torch.tensor([[[0, 1, 2]], [[0, 1, 1]], [[2, 1, 0]], [[2, 2, 2]]])
        return cls(Masked(categories=3), sequences=sequences, weights=torch.tensor([0.4, 0.3, 0.2, 0.1]))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "SequencesPosterior":  # noqa: ARG002
        t = torch.as_tensor(t, dtype=torch.float64).clamp(max=LAST)
        process, shape = Discrete.of(self.process), (len(x_t), len(self.sequences), *x_t.shape[1:])
        times = t if t.ndim == 0 else t.reshape(len(t), 1, *(t.shape[1:] or [1] * (x_t.ndim - 1)))
        noisy, clean = x_t[:, None].expand(shape).flatten(2), self.sequences.expand(shape).flatten(2)
        times = times if t.ndim == 0 else times.expand(shape).flatten(2)
        seen = process.log_probability(noisy, clean, times).clamp(min=NEVER).sum(2)
        return SequencesPosterior(self.sequences, (seen + self.weights.log()).softmax(1), process.categories)


class SequencesPosterior(Categories):
    """Weights (B, N) over sequences of tokens."""

    def __init__(self, sequences: Tensor, weights: Tensor, categories: int) -> None:
        self.sequences, self.weights = sequences, weights
        share = torch.einsum("bn,n...->b...", weights, one_hot(sequences, categories).double())
        super().__init__(share.log().clamp(min=NEVER))

    def sample(self, draws: Draws, step: int) -> Tensor:
        return self.sequences[choose(draws.uniform("posterior sequence", step, ()), self.weights)]
