"""Captions read by the text encoders of CLIP that Stable Diffusion was trained with."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Embedded
from pellucid.conditioners.prompt import Part, parts
from pellucid.conditioners.reader import Reader

MEMORY = 2**29
"""Bytes of texts that are remembered: with SDXL's two encoders about 800."""


class ClipText(Reader):
    """Tokens (B, length, width) of one encoder or of several side by side; the vector is the last one's summary of the text.

    `cond` holds what the encoders made of the text, flat: the tokens, then the vector. So a text is read once, not at each
    step. A token of weight w counts as nothing + w (token - nothing), where nothing is what the empty text has in its place;
    the vector is of the words alone.

    The encoders are frozen and no part of the module's state: training and saving leave them where they came from.

    Arguments:
        tokenizers, encoders: one pair or more.
        penultimate: whether tokens are those before the encoder's last layer, as SDXL has them.
        zero_null: whether asking for nothing is zero throughout instead of the empty text.
    """

    unit: ClassVar[str] = "tokens"

    def __init__(
        self, tokenizers: Sequence[Any], encoders: Sequence[Any], *, penultimate: bool = False, zero_null: bool = False
    ) -> None:
        super().__init__()
        self.tokenizers, self.encoders = tokenizers, tuple(encoders)  # a tuple is not registered
        self.penultimate, self.zero_null = penultimate, zero_null
        self.length = int(tokenizers[0].model_max_length)
        self.width = sum(encoder.config.hidden_size for encoder in encoders)
        self._known: OrderedDict[tuple[Part, ...], Tensor] = OrderedDict()
        for encoder in encoders:
            encoder.requires_grad_(False)

    def forward(self, value: Tensor) -> Embedded:
        end = self.length * self.width
        return Embedded(value[:, end:], value[:, :end].reshape(-1, self.length, self.width))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """To another device or precision, the encoders too; what was read before is forgotten."""
        for encoder in self.encoders:
            encoder._apply(fn)
        self._known.clear()
        self.__dict__.pop("_nothing", None)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        return self

    @property
    def device(self) -> torch.device:
        """Where the encoders are."""
        place: torch.device = next(self.encoders[0].parameters()).device
        return place

    def extent(self, prompt: str) -> tuple[int, int]:
        found = (self.tokenizers[0](part.text, add_special_tokens=False, verbose=False).input_ids for part in parts(prompt))
        return sum(map(len, found)), self.length - 2

    def null(self, count: int) -> Tensor:
        return self._nothing.expand(count, -1)

    @cached_property
    def _nothing(self) -> Tensor:
        """(1, ...)."""
        empty = self.row([])[None]
        return torch.zeros_like(empty) if self.zero_null else empty

    def row(self, caption: Sequence[Part]) -> Tensor:
        """Tokens and vector, flat; the latest are remembered."""
        asked = tuple(caption)
        if asked not in self._known:
            self._known[asked] = row = self._read(asked)
            while len(self._known) * row.nbytes > MEMORY:
                self._known.popitem(last=False)
        return self._known[asked]

    @torch.no_grad()
    def _read(self, caption: Sequence[Part]) -> Tensor:
        columns, vector = [], torch.zeros(0, device=self.device)
        for tokenizer, encoder in zip(self.tokenizers, self.encoders, strict=True):
            numbers, weights = self._numbered(tokenizer, caption)
            tokens, vector = self._encode(encoder, numbers)
            if bool((weights != 1).any()):
                nothing, _ = self._encode(encoder, self._numbered(tokenizer, [])[0])
                tokens = nothing + weights.to(tokens)[:, None] * (tokens - nothing)
            columns.append(tokens)
        return torch.cat([torch.cat(columns, dim=-1).flatten(), vector])

    def _encode(self, encoder: Any, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """(length, hidden) and (width of the summary,); no summary where the last layer's tokens are all that is used."""
        found = encoder(numbers.to(self.device)[None], output_hidden_states=self.penultimate)
        if not self.penultimate:
            return found.last_hidden_state[0].float(), found.last_hidden_state.new_zeros(0).float()
        return found.hidden_states[-2][0].float(), found[0].flatten().float()

    def _numbered(self, tokenizer: Any, caption: Sequence[Part]) -> tuple[Tensor, Tensor]:
        """Numbers of the tokens, between start and end and filled up, and the weight of each."""
        numbers, weights = [], []
        for part in caption:
            found = tokenizer(part.text, add_special_tokens=False, verbose=False).input_ids
            numbers += found
            weights += [part.weight] * len(found)
        numbers = [tokenizer.bos_token_id, *numbers[: self.length - 2], tokenizer.eos_token_id]
        weights = [1.0, *weights[: self.length - 2]]
        numbers += [tokenizer.pad_token_id] * (self.length - len(numbers))
        return torch.tensor(numbers), torch.tensor(weights + [1.0] * (self.length - len(weights)))
