"""Starting weights by key, so that they depend on the seed alone and not on the state of torch's generator."""

from hashlib import blake2b
from math import prod, sqrt
from typing import TypeVar

import torch
from torch import nn

from pellucid.core.random import Key

M = TypeVar("M", bound=nn.Module)

TABLES: dict[type[nn.Module], float] = {nn.Embedding: 1.0, nn.EmbeddingBag: 0.02}
"""Standard deviation of the entries at the start."""


def initialise(module: nn.Module, key: Key) -> None:
    """Set every parameter of `module` from `key` and its name, in place.

    Weights get normal values of variance 1 / fan_in, which keep the scale of what passes through (LeCun et al. 1998,
    Efficient BackProp, eq. 16); embedding tables get unit variance, but those whose entries are pooled start small, so
    that what training never meets says little. What is zero at construction stays zero, and what has one axis (gains,
    biases) keeps its construction value, which our layers never draw at random.

    The draw's id is a hash of the parameter's name, so a layer's weights do not depend on which others there are.
    """
    for prefix, part in module.named_modules():
        for name, parameter in part.named_parameters(prefix, recurse=False):
            if parameter.ndim < 2 or not parameter.any():
                continue
            identity = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
            scale = TABLES.get(type(part)) or 1 / sqrt(prod(parameter.shape[1:]))
            with torch.no_grad():
                parameter.copy_(scale * key.normal([identity], parameter.shape)[0])


def zeroed(module: M) -> M:
    """`module` with all its parameters set to zero."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
