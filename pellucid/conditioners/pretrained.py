"""Captions read by a text encoder that others trained: a sentence-transformer, a CLIP or a T5, which stays as it is."""

from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from pellucid.conditioners.conditioner import TOKEN_WIDTH, Embedded
from pellucid.conditioners.prompt import Part, parts
from pellucid.conditioners.reader import Reader
from pellucid.conditioners.text_encoder import TextEncoder
from pellucid.core.errors import ConfigError
from pellucid.networks.linear import Linear

FEWEST = 4
"""Tokens that are worth reading: of them a beginning and an end."""


class Pretrained(Reader):
    """The encoder's tokens of a caption, brought to the width of all tokens, and their mean as the vector.

        token    W h + b for a token h (`TextEncoder`), b where the caption has ended
        vector   V (mean of the caption's own tokens) + c

    W, b, V and c are trained; the encoder is not, and its weights are no part of the model's: a model names its `source`,
    and can be loaded where that is. A token h of weight w counts as nothing + w (h - nothing), where nothing is what the
    empty text has in its place, zero beyond its end.

    `cond` holds what the encoder made of a text, so that it is read once and not at each step: (B, length, 1 + width of h),
    float16, first 1 where there is a token and 0 beyond, then h.

    Arguments:
        width: of the vector that comes out.
        source: of the encoder: a folder, or OWNER/NAME on the hub.
        length: tokens that are read, those included that say where a text begins and ends; what follows is cut off.

    Raises:
        ModelError: there is no such encoder, or it cannot be loaded safely.
    """

    unit: ClassVar[str] = "tokens"

    def __init__(self, *, width: int, source: str, length: int = 64) -> None:
        super().__init__()
        self.encoder = TextEncoder.find(source)  # no module, so that it is neither saved nor trained
        if not FEWEST <= length <= self.encoder.longest:
            raise ConfigError(f"text.length = {length}: expected {FEWEST} to {self.encoder.longest}, as '{source}' has it")
        self.length = length
        self.tokens = Linear(self.encoder.width, TOKEN_WIDTH)
        self.vector = nn.Linear(TOKEN_WIDTH, width)
        nn.init.zeros_(self.tokens.bias)
        nn.init.zeros_(self.vector.bias)

    def forward(self, value: Tensor) -> Embedded:
        value = value.to(self.vector.weight)
        real, h = value[..., :1], value[..., 1:]
        tokens = self.tokens(h)
        return Embedded(self.vector((real * tokens).sum(1) / real.sum(1).clamp(min=1)), tokens)

    def encode(self, captions: Sequence[str]) -> Tensor:
        return torch.stack([self._row(tokens) for tokens in self._read(captions)])

    def row(self, caption: Sequence[Part]) -> Tensor:
        text = "".join(part.text for part in caption)
        tokens, empty = self._read([text, ""])
        if any(part.weight != 1 for part in caption):
            weights, nothing = self._weights(caption, text)[:, None], self._filled(empty)[: len(tokens)].float()
            tokens = (nothing + weights * (tokens.float() - nothing)).half()
        return self._row(tokens)

    def extent(self, prompt: str) -> tuple[int, int]:
        marks = self.encoder.count("")
        return self.encoder.count("".join(part.text for part in parts(prompt))) - marks, self.length - marks

    def _read(self, texts: Sequence[str]) -> list[Tensor]:
        return self.encoder(texts, self.length, self.vector.weight.device)

    def _row(self, tokens: Tensor) -> Tensor:
        """(length, 1 + width of h)."""
        return self._filled(pad(tokens, (1, 0), value=1))

    def _filled(self, rows: Tensor) -> Tensor:
        return pad(rows, (0, 0, 0, self.length - len(rows)))

    def _weights(self, caption: Sequence[Part], text: str) -> Tensor:
        """Of each token, that of the part in which its last letter is; 1 for marks of beginning and end."""
        ends = torch.tensor(list(accumulate(len(part.text) for part in caption)))
        weights = torch.tensor([part.weight for part in caption])
        last = torch.tensor(self.encoder.ends(text, self.length))
        return torch.where(last > 0, weights[torch.searchsorted(ends, last).clamp(max=len(ends) - 1)], 1.0)
