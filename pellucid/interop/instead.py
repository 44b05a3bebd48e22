"""A module that answers in place of a network."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves


class Instead(nn.Module):
    """Takes the place of `network` and answers like it, its attributes too. Where gradients are wanted, torch does the work.

    Subclasses say what they are `called`, and `answer`.
    """

    called: ClassVar[str]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._network = (network,)  # in a tuple it is not registered: its weights are no part of this module

    @property
    def network(self) -> nn.Module:
        return self._network[0]

    def __getattr__(self, name: str) -> Any:
        return super().__getattr__(name) if name.startswith("_") else getattr(self._network[0], name)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        tensors = (leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor))
        if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
            return self.network(*args, **kwargs)
        return self.answer(*args, **kwargs)

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError
