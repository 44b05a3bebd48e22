"""The denoiser of tokens: a network that says how likely each category is for each of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.known_tokens import KnownTokens
from pellucid.core.shapes import expand
from pellucid.denoisers.conditional import Conditional, together
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.pointer import Pointer
from pellucid.denoisers.posterior import NEVER, Categories
from pellucid.networks.linear import Linear
from pellucid.networks.network import Network
from pellucid.processes.discrete import Discrete

EMBEDDED = 128
"""Features by which a network sees a token."""
ROWS = 64
"""Tokens are multiplied out in multiples of so many: a library that compiles a routine for each shape keeps them all."""


class Categorical(Conditional):
    """log p(x0 | x_t, cond) = log softmax W F(E[x_t], c_noise, cond), token by token.

    Where x_t itself shows what is clean (a mask), that is what x0 is, and the network is not told the time, on which the
    answer does not depend (Ou et al. 2025, RADD, theorem 1). Else c_noise = 2 t - 1, for each token its own. Where a token
    stands is part of E: among masks alone a network that knows distances only could not tell the first from the last. W is
    apart from the network so that it need not be multiplied where x0 is settled, which is half of all tokens in training.
    A pointer may copy what is known instead (see `Pointer`).

    Arguments:
        process: of tokens.
        length: how many a sample has.
        network: F, from EMBEDDED channels to as many.
        conditioners: one for each entry of `cond`.
        copies: whether there is a pointer.
    """

    offers: frozenset[str] = frozenset({"logits"})

    def __init__(
        self, *, process: Discrete, length: int, network: Network, conditioners: Mapping[str, Conditioner] | None = None,
        copies: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(process, conditioners)
        self.network = network
        self.embedding = nn.Embedding(process.states, EMBEDDED)
        self.places = nn.Embedding(length, EMBEDDED)
        self.head = Linear(EMBEDDED, process.categories)
        nn.init.zeros_(self.head.bias)
        self.pointer = Pointer(EMBEDDED, process.categories) if copies else None

    @property
    def sampling(self) -> dict[str, Any]:
        return {"sampler": "reveal" if Discrete.of(self.process).absorbing else "tokens"}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "Said":
        x_t, t = self._forced(x_t, t, cond)
        process, features = Discrete.of(self.process), self._features(x_t, t, cond)
        if process.absorbing:
            return Said(features, self.head, x_t, x_t == process.categories, self.pointer)
        known = expand(t, x_t) == 0 if cond and "given" in cond else torch.zeros(())
        return Said(features, self.head, x_t, (known == 0).expand(x_t.shape).to(x_t.device), self.pointer)

    def _forced(self, x_t: Tensor, t: Tensor, cond: Cond | None) -> tuple[Tensor, Tensor]:
        """With what is given, which is clean."""
        t = torch.as_tensor(t, dtype=torch.float64)
        t = t.expand(x_t.shape[0]) if t.ndim == 0 else t
        if cond and "given" in cond and isinstance(known := self.conditioner("given"), KnownTokens):
            return known.force(cond["given"], x_t, t)
        return x_t, t

    def _features(self, x_t: Tensor, t: Tensor, cond: Cond | None) -> Tensor:
        """(B, L, EMBEDDED)."""
        said = together(self.embedded(cond, x_t.shape[0]))
        seen = (self.embedding(x_t[:, 0]) + self.places.weight).movedim(-1, 1)
        c_noise = torch.zeros(x_t.shape[0]) if Discrete.of(self.process).absorbing else 2 * t - 1
        features: Tensor = self.network(seen, c_noise.to(seen), said.vector, said.tokens)
        return features.movedim(1, -1)


class Said(Categories):
    """What a network says, multiplied out for those tokens alone that somebody asks for.

    Arguments:
        features: (B, L, EMBEDDED), of which `head` makes logits.
        open_: of which tokens of x_t (B, 1, L) it is not settled what they are.
        pointer: which copies.
    """

    def __init__(
        self, features: Tensor, head: nn.Module, x_t: Tensor, open_: Tensor, pointer: Pointer | None = None
    ) -> None:
        self._features, self._head, self._x_t, self._open, self._pointer = features, head, x_t, open_, pointer

    @property
    def logits(self) -> Tensor:
        log_p, whole = _log_softmax(self._head(self._features)), torch.ones_like(self._x_t[:, 0], dtype=torch.bool)
        said = self._copied(whole, log_p.flatten(0, 1)).reshape(*self._x_t.shape, -1)
        own = self._x_t.clamp(max=said.shape[-1] - 1).unsqueeze(-1)
        sure = torch.full_like(said, NEVER).scatter_(-1, own, 0.0)
        return torch.where(self._open.unsqueeze(-1), said, sure)

    def at(self, where: Tensor) -> Tensor:
        """Of tokens that are not settled."""
        features = self._features[where[:, 0]]
        filled = pad(features, (0, 0, 0, -len(features) % ROWS))
        return self._copied(where[:, 0], _log_softmax(self._head(filled)[: len(features)]))

    def _copied(self, where: Tensor, log_p: Tensor) -> Tensor:
        """(N, K), of tokens (B, L) of which the head says log_p."""
        return log_p if self._pointer is None else self._pointer(self._features, self._x_t[:, 0], where, log_p)


def _log_softmax(logits: Tensor) -> Tensor:
    """Never in 16 bits, of which probabilities would not sum to 1."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)
