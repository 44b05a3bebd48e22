"""What ONNX, or ONNX Runtime in float64, has no word for, said in words that they have."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import embedding, embedding_bag
from torch.overrides import TorchFunctionMode


class Words(TorchFunctionMode):
    """While it is on, some functions of torch are computed by others: same numbers, up to rounding."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # fmt: skip
        return SAID.get(func, func)(*args, **(kwargs or {}))


def _hypot(a: Tensor, b: Tensor) -> Tensor:
    return (a * a + b * b).sqrt()


def _sinh(x: Tensor) -> Tensor:
    return (x.exp() - (-x).exp()) / 2


def _cosh(x: Tensor) -> Tensor:
    return (x.exp() + (-x).exp()) / 2


def _mean_of_bag(numbers: Tensor, weight: Tensor, *, padding_idx: int, **_: Any) -> Tensor:
    """Over the entries of each row that are not the one that fills up."""
    there = (numbers != padding_idx).to(weight).unsqueeze(-1)
    return (embedding(numbers, weight) * there).sum(1) / there.sum(1).clamp(min=1)


SAID: dict[Callable[..., Any], Callable[..., Any]] = {
    torch.hypot: _hypot, torch.sinh: _sinh, torch.cosh: _cosh, embedding_bag: _mean_of_bag,
}  # fmt: skip
