"""A network whose weights are laid out once as the CPU's products want them."""

from typing import Any

import torch
from torch import nn

from pellucid.core.errors import UnsupportedError
from pellucid.interop.instead import Instead
from pellucid.interop.products import Products, can_pack


class Packed(Instead):
    """The network by `Products` whose weights are packed. Nothing to install; takes the weights' memory once more.

    Raises:
        UnsupportedError: this torch cannot.
    """

    called = "packed weights"

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network)
        if not can_pack():
            raise UnsupportedError("Weights are packed for oneDNN, which this torch has not, or otherwise: leave engine out")
        self._products = Products(packed=True)

    def answer(self, *args: Any, **kwargs: Any) -> Any:
        with torch.no_grad(), self._products:
            return self.network(*args, **kwargs)
