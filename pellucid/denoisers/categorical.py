"""The denoiser of tokens: a network that says how likely each category is for each of them."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.known_tokens import UNKNOWN, KnownTokens
from pellucid.core.shapes import expand
from pellucid.denoisers.conditional import Conditional, together
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.posterior import NEVER, Categories
from pellucid.networks.linear import Linear
from pellucid.networks.network import Network
from pellucid.processes.discrete import Discrete

EMBEDDED = 128
"""Features by which a network sees a token."""


class Categorical(Conditional):
    """log p(x0 | x_t, cond) = log softmax W F(E[x_t], c_noise, cond), token by token.

    Where x_t itself shows what is clean (a mask), that is what x0 is, and the network is not told the time, on which the
    answer does not depend (Ou et al. 2025, RADD, theorem 1). Else c_noise = 2 t - 1, for each token its own. Where a token
    stands is part of E: among masks alone a network that knows distances only could not tell the first from the last. W is
    apart from the network so that it need not be multiplied where x0 is settled, which is half of all tokens in training.

    Arguments:
        process: of tokens.
        length: how many a sample has.
        network: F, from EMBEDDED channels to as many.
        conditioners: one for each entry of `cond`.
    """

    offers: frozenset[str] = frozenset({"logits"})

    def __init__(
        self, *, process: Discrete, length: int, network: Network, conditioners: Mapping[str, Conditioner] | None = None
    ) -> None:
        super().__init__(process, conditioners)
        self.network = network
        self.embedding = nn.Embedding(process.states, EMBEDDED)
        self.places = nn.Embedding(length, EMBEDDED)
        self.head = Linear(EMBEDDED, process.categories)

    @property
    def sampling(self) -> dict[str, Any]:
        return {"sampler": "reveal" if Discrete.of(self.process).absorbing else "tokens"}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Categories:
        process, (x_t, t) = Discrete.of(self.process), self._forced(x_t, t, cond)
        logits = self._logits(self._features(x_t, t, cond)).unsqueeze(1)
        if process.absorbing:
            logits = settled(logits, x_t, process.categories)
        elif cond and "given" in cond:
            known_here = (expand(t, x_t) == 0).to(x_t.device).unsqueeze(-1)
            logits = torch.where(known_here, settled(logits, x_t), logits)
        return Categories(logits.log_softmax(-1))

    def at(self, where: Tensor, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Tensor:
        """What `forward` says of some tokens that x_t does not settle, `where` (B, 1, L): (N, K). Of few, in less time."""
        x_t, t = self._forced(x_t, t, cond)
        return self._logits(self._features(x_t, t, cond)[where[:, 0]]).log_softmax(-1)

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

    def _logits(self, features: Tensor) -> Tensor:
        """Never in 16 bits, of which probabilities would not sum to 1."""
        logits: Tensor = self.head(features)
        return logits.to(torch.promote_types(logits.dtype, torch.float32))


def settled(logits: Tensor, x_t: Tensor, mask: int = UNKNOWN) -> Tensor:
    """Logits of tokens x_t, those that are no mask being what they are."""
    own = x_t.clamp(max=logits.shape[-1] - 1).unsqueeze(-1)
    sure = torch.full_like(logits, NEVER).scatter_(-1, own, 0.0)
    return torch.where((x_t == mask).unsqueeze(-1), logits, sure)
