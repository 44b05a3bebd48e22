"""Captions in any language, read by a small transformer that is trained along: nothing is downloaded."""

from collections import Counter
from collections.abc import Iterable, Sequence
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

WEIGHTS = 1000
"""A weight of one, in the whole numbers in which `cond` holds it."""
VOCABULARY = 50_000
"""Words that are remembered as known, the commonest first."""


class Caption(Reader):
    """The words of a caption as tokens, and their mean as the vector.

        word   mean of its pieces' vectors (`words.pieces`), so that a misspelt or inflected word is near to the known
        text   `length` words, filled up with a learned nothing -> transformer -> tokens (B, length, TOKEN_WIDTH)

    A word of weight w counts as nothing + w (word - nothing), the difference taken between the tokens of the caption and
    those of no caption. `cond` holds (B, length, 1 + PIECES) whole numbers: weight in thousandths, numbers of the pieces,
    -1 where there are fewer.

    Arguments:
        width: of the vector that comes out.
        features: of the transformer.
        depth: of the transformer.
        length: words that are read; what follows is cut off.
    """

    unit: ClassVar[str] = "words"
    vocabulary: Tensor

    def __init__(self, *, width: int, features: int = 192, depth: int = 2, length: int = 32) -> None:
        super().__init__()
        if min(features, depth, length) < 1 or features % 2:
            given = f"features = {features}, depth = {depth}, length = {length}"
            raise ConfigError(f"{given}: expected 1 or more of each, features even")
        self.length = length
        self.pieces = nn.EmbeddingBag(BUCKETS + 1, features, mode="mean", padding_idx=BUCKETS)
        self.nothing = nn.Parameter(torch.zeros(features))
        heads = heads_for(features)
        self.blocks = nn.ModuleList(
            branch for _ in range(depth) for branch in (SelfAttention(1, features, heads), FeedForward(features))
        )
        self.tokens = Linear(features, TOKEN_WIDTH, bias=False)
        self.vector = nn.Linear(TOKEN_WIDTH, width)
        nn.init.zeros_(self.vector.bias)
        self.register_buffer("vocabulary", torch.zeros(0, dtype=torch.uint8))

    def forward(self, value: Tensor) -> Embedded:
        value = value.to(self.nothing.device)
        weights, numbers = value[..., 0], value[..., 1:]
        tokens = self._read(numbers)
        if bool((weights != WEIGHTS).any()):
            nothing = self._read(torch.full_like(numbers[:1], -1))
            tokens = nothing + weights.unsqueeze(-1).to(tokens) / WEIGHTS * (tokens - nothing)
        return Embedded(self.vector(tokens.mean(1)), tokens)

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

    def _read(self, numbers: Tensor) -> Tensor:
        """(B, length, PIECES) -> tokens."""
        there = numbers[..., :1] >= 0
        bags = self.pieces(torch.where(numbers < 0, BUCKETS, numbers).flatten(0, 1)).unflatten(0, numbers.shape[:2])
        h = torch.where(there, layer_norm(bags, bags.shape[-1:]), self.nothing.to(bags))
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
