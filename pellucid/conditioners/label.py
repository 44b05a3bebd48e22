"""Class labels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.core.errors import ConfigError, nearest


class Label(Conditioner):
    """One of a fixed list of names, as its index; the index after the last asks for nothing.

    Arguments:
        names: the labels, in the order of their indices.
        width: of the vector that comes out.
    """

    def __init__(self, *, names: Sequence[str], width: int) -> None:
        super().__init__()
        self.names = tuple(names)
        self.table = nn.Embedding(len(self.names) + 1, width)

    def forward(self, value: Tensor) -> Embedded:
        """(B,) indices, -1 or len(names) for none -> a vector (B, width)."""
        index = torch.where(value < 0, len(self.names), value)
        return Embedded(self.table(index.to(self.table.weight.device)))

    def null(self, count: int) -> Tensor:
        return torch.full((count,), len(self.names), dtype=torch.int64)

    def parse(self, value: Any, count: int) -> Tensor:
        """A name or an index, or a list of them that is repeated to `count`; "all" is every label in turn."""
        value = value.tolist() if hasattr(value, "tolist") else value  # arrays and tensors
        many = isinstance(value, (list, tuple, range))
        wanted = value if many else range(len(self.names)) if value == "all" else [value]
        if not len(wanted):
            raise ConfigError("An empty list of labels: expected one or more of " + ", ".join(self.names))
        indices = [self._index(item) for item in wanted]
        return torch.tensor([indices[i % len(indices)] for i in range(count)], dtype=torch.int64)

    def _index(self, item: Any) -> int:
        if str(item) in self.names:
            return self.names.index(str(item))
        if str(item).isdecimal() and int(item) < len(self.names):
            return int(item)
        raise ConfigError(f"Unknown label '{item}': {nearest(str(item), self.names)}")
