"""The contract of a reader: the conditioner that takes captions, as data has them, and prompts, as users write them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.prompt import Part, checked, parts
from pellucid.core.errors import ConfigError


class Reader(Conditioner):
    """Text, a row of `cond` each.

    Attributes:
        unit: what it cuts a text into, plural, for messages.
        length: how many of them it has room for.
    """

    unit: ClassVar[str]
    length: int

    @abstractmethod
    def row(self, caption: Sequence[Part]) -> Tensor:
        """One text as `cond` holds it, without the axis of the batch; no part at all is no text."""

    @abstractmethod
    def extent(self, prompt: str) -> tuple[int, int]:
        """How many units a prompt has, and how many of a text are read at most."""

    def pooled(self, value: Tensor) -> Tensor:
        """The vector alone, (B, width)."""
        vector: Tensor = self(value).vector
        return vector

    def settle(self) -> None:
        """Learn nothing more that the vector depends on; a reader whose tokens stand apart may go on learning those."""
        self.requires_grad_(False)

    def encode(self, captions: Sequence[str]) -> Tensor:
        """Captions as `cond` holds them, their parentheses being plain text."""
        return torch.stack([self.row([Part(caption)]) for caption in captions])

    def null(self, count: int) -> Tensor:
        nothing = self.row([])
        return nothing.expand(count, *nothing.shape)

    def parse(self, value: Any, count: int) -> Tensor:
        """A prompt or a list of them that is repeated to `count`, with weights as `prompt.parts` has them."""
        prompts = list(value) if isinstance(value, list | tuple) else [value]
        if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
            raise ConfigError(f"The prompt is {value!r}: expected text, or a list of texts")
        rows = {prompt: self.row(parts(checked(prompt))) for prompt in dict.fromkeys(prompts)}
        return torch.stack([rows[prompts[at % len(prompts)]] for at in range(count)])
