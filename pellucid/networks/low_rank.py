"""Low-rank adapters: a large weight is kept as it is, and a small change to it is trained."""

from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized, register_parametrization, remove_parametrizations

from pellucid.core.random import Key


class LowRank(nn.Module):
    """W + B A, with A (rank, columns) drawn and B (rows, rank) zero at the start. Hu et al. 2022 (LoRA), section 4.1.

    A kernel of a convolution is a matrix of (out, in x space). There is no further factor: the learning rate has it.
    """

    def __init__(self, weight: Tensor, rank: int, key: Key, place: int) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.down = nn.Parameter(key.normal([place], (rank, columns))[0].to(weight) / sqrt(columns))
        self.up = nn.Parameter(weight.new_zeros(rows, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + (self.up @ self.down).reshape(weight.shape)


def adapt(module: nn.Module, rank: int, key: Key, *, free: frozenset[str] = frozenset()) -> None:
    """Freeze `module` but for an adapter on every weight of linear layers and convolutions that is larger than `rank`.

    Arguments:
        free: names of parameters that are trained whole.
    """
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in free)
    layers = [(name, layer) for name, layer in module.named_modules() if isinstance(getattr(layer, "weight", None), Tensor)]
    for place, (name, layer) in enumerate(layers):
        weight = layer.weight
        small = weight.ndim < 2 or min(weight.flatten(1).shape) <= rank
        if not (small or isinstance(layer, nn.Embedding | nn.EmbeddingBag) or f"{name}.weight" in free):
            register_parametrization(layer, "weight", LowRank(weight, rank, key, place))


def merge(module: nn.Module) -> None:
    """Put what the adapters have learnt into the weights themselves, and take them off."""
    with torch.no_grad():
        for layer in list(module.modules()):
            if is_parametrized(layer, "weight"):
                remove_parametrizations(layer, "weight", leave_parametrized=True)
