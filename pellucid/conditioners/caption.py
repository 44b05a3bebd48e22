"""Captions in any language, read by a small network that is trained along: nothing is downloaded."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from pellucid.conditioners.conditioner import TOKEN_WIDTH, Embedded
from pellucid.conditioners.prompt import Part, parts
from pellucid.conditioners.reader import Reader
from pellucid.conditioners.words import BUCKETS, PIECES, pieces, split
from pellucid.core.errors import ConfigError
from pellucid.networks.attention import FeedForward, SelfAttention, heads_for
from pellucid.networks.linear import Linear

EMPTY, START = BUCKETS, BUCKETS + 1
"""Entries beside those of pieces: of no piece, always zero, and the one with which each sum starts."""
WEIGHTS = 1000
"""A weight of one, in the whole numbers in which `cond` holds it."""
VOCABULARY = 50_000
"""Words that are remembered as known, the commonest first."""


class Caption(Reader):
    """The words of a caption as a vector, which does not know their order, and as tokens, which do.

        word     mean of its pieces' entries (`words.pieces`), so that a misspelt or inflected word is near to the known
        vector   W sqrt(features) (start + sum of words) + b
        tokens   `length` words at unit scale, filled up with a learned nothing -> transformer -> (B, length, TOKEN_WIDTH)

    Entries start small and grow with what is learned of them, so in the sum a word that training never saw says little:
    from captions alone this finds phrasings never seen better than a transformer's mean does (LOG.md, 2026-11-25), as
    sums of words' and their pieces' vectors do elsewhere (Bojanowski et al. 2017, fastText, eq. 3; Wieting et al. 2016).

    A word of weight w counts w times in the sum; its token is nothing + w (word - nothing), the difference taken between
    the tokens of the caption and those of no caption. `cond` holds (B, length, 1 + PIECES) whole numbers: weight in
    thousandths, numbers of the pieces, -1 where there are fewer.

    Arguments:
        width: of the vector that comes out.
        features: of a word, and of the transformer.
        depth: of the transformer; 0: each token is its word alone.
        length: words that are read; what follows is cut off.
    """

    unit: ClassVar[str] = "words"
    vocabulary: Tensor

    def __init__(self, *, width: int, features: int = 192, depth: int = 2, length: int = 32) -> None:
        super().__init__()
        if min(features, depth + 1, length) < 1 or features % 2:
            given = f"features = {features}, depth = {depth}, length = {length}"
            raise ConfigError(f"{given}: expected 1 or more features, an even number, depth 0 or more, length 1 or more")
        self.length = length
        self.pieces = nn.EmbeddingBag(START + 1, features, mode="mean", padding_idx=EMPTY)
        self.vector = nn.Linear(features, width)
        nn.init.zeros_(self.vector.bias)
        self.nothing = nn.Parameter(torch.zeros(features))
        heads = heads_for(features)
        self.blocks = nn.ModuleList(
            branch for _ in range(depth) for branch in (SelfAttention(1, features, heads), FeedForward(features))
        )
        self.tokens = Linear(features, TOKEN_WIDTH, bias=False)
        self.register_buffer("vocabulary", torch.zeros(0, dtype=torch.uint8))

    def forward(self, value: Tensor) -> Embedded:
        value = value.to(self.nothing.device)
        weights, numbers = (value[..., :1] / WEIGHTS).to(self.nothing), value[..., 1:]
        words = self._words(numbers)
        tokens = self._read(words, numbers)
        if torch.compiler.is_exporting() or bool((weights != 1).any()):
            none = torch.full_like(numbers[:1], -1)
            nothing = self._read(self._words(none), none)
            tokens = nothing + weights * (tokens - nothing)
        return Embedded(self._sum(weights, words), tokens)

    def pooled(self, value: Tensor) -> Tensor:
        value = value.to(self.nothing.device)
        return self._sum((value[..., :1] / WEIGHTS).to(self.nothing), self._words(value[..., 1:]))

    def settle(self) -> None:
        for part in (self.pieces, self.vector):
            part.requires_grad_(False)

    def row(self, caption: Sequence[Part]) -> Tensor:
        """(length, 1 + PIECES)."""
        rows = np.full((self.length, 1 + PIECES), -1, dtype=np.int64)
        rows[:, 0] = WEIGHTS
        words = [(word, part.weight) for part in caption for word in split(part.text)]
        for row, (word, weight) in zip(rows, words, strict=False):
            numbers = pieces(word)
            row[0] = round(WEIGHTS * weight)
            row[1 : 1 + len(numbers)] = numbers
        return torch.from_numpy(rows)

    def learn_words(self, captions: Iterable[str]) -> None:
        """Remember which words there are, beside those known, so that a prompt without any can be told."""
        counts = Counter(word.text for caption in captions for word in split(caption))
        known = sorted({*self.known_words(), *(word for word, _ in counts.most_common(VOCABULARY))})
        self.vocabulary = torch.frombuffer(bytearray("\n".join(known).encode() or b"\n"), dtype=torch.uint8).clone()

    def known_words(self) -> set[str]:
        """The words that training saw."""
        return set(bytes(self.vocabulary.tolist()).decode().split()) if len(self.vocabulary) else set()

    def unknown_words(self, prompt: str) -> tuple[list[str], int]:
        """The words of a prompt that training never saw, and how many words there are in all."""
        known = self.known_words()
        words = _words(prompt)
        return [word for word in words if word not in known], len(words)

    def extent(self, prompt: str) -> tuple[int, int]:
        return len(_words(prompt)), self.length

    def _words(self, numbers: Tensor) -> Tensor:
        """(B, length, PIECES) -> (B, length, features), zero where there is no word."""
        words: Tensor = self.pieces(torch.where(numbers < 0, EMPTY, numbers).flatten(0, 1))
        return words.reshape(*numbers.shape[:2], -1)

    def _sum(self, weights: Tensor, words: Tensor) -> Tensor:
        """(B, length, 1) and (B, length, features) -> the vector."""
        heard = self.pieces.weight[START] + (weights * words).sum(1)
        vector: Tensor = self.vector(sqrt(heard.shape[1]) * heard)
        return vector

    def _read(self, words: Tensor, numbers: Tensor) -> Tensor:
        """(B, length, features) -> tokens."""
        h = torch.where(numbers[..., :1] >= 0, layer_norm(words, words.shape[-1:]), self.nothing.to(words))
        for branch in self.blocks:
            h = h + branch(layer_norm(h, h.shape[-1:]))
        tokens: Tensor = self.tokens(layer_norm(h, h.shape[-1:]))
        return tokens

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """The vocabulary is as long as the file says."""
        found = state_dict.get(f"{prefix}vocabulary")
        if found is not None:
            self.vocabulary = torch.empty_like(found, device=self.vocabulary.device)
        super()._load_from_state_dict(state_dict, prefix, *rest)


def _words(prompt: str) -> list[str]:
    return [word.text for part in parts(prompt) for word in split(part.text)]
