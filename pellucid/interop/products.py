"""Linear layers, convolutions and attention of any network, by the fastest products that a CPU has for inference."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

from pellucid.core.precision import has_bfloat16
from pellucid.networks.attention import attend

ONE = (1, 1)
NONE = (0, 0)
PRIVATE = ("_reorder_linear_weight", "_linear_pointwise", "_reorder_convolution_weight", "_convolution_pointwise")
_convolution: Any = torch.mkldnn_convolution  # whose stub knows whole numbers only


def has_onednn() -> bool:
    """Whether this build of torch has it."""
    return bool(torch.backends.mkldnn.is_available())  # type: ignore[no-untyped-call]


def can_pack() -> bool:
    """Whether this torch has what takes packed weights, which is no public part of it."""
    return has_onednn() and all(hasattr(torch.ops.mkldnn, name) for name in PRIVATE)


class Products(TorchFunctionMode):
    """While it is on, and no gradient is wanted, products on the CPU are those of oneDNN.

    torch takes others, of the BLAS that it was built with, for linear layers and, with one thread, for convolutions over one
    position; MKL has no kernels of its own for AMD. Attention in bfloat16 is `attend`'s. Same numbers, up to rounding.

    Arguments:
        packed: whether weights are laid out once as oneDNN wants them, instead of at every call, and kept, which takes
            their memory again. They may not be changed from then on.
    """

    def __init__(self, *, packed: bool = False) -> None:
        super().__init__()
        self.packed = packed
        self._there = has_onednn()
        self._kept: dict[tuple[Any, ...], tuple[Tensor, Tensor]] = {}

    def __torch_function__(
        self, func: Callable[..., Any], types: Sequence[type], args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:  # fmt: skip
        ours, kwargs = OURS.get(func) if self._there else None, kwargs or {}
        watched = torch.is_grad_enabled() or torch.compiler.is_exporting()
        if ours is None or watched or not args or args[0].device.type != "cpu":
            return func(*args, **kwargs)
        answer = ours(self, *args, **kwargs)
        return func(*args, **kwargs) if answer is None else answer

    def linear(self, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor | None:
        """None where torch's own is as good."""
        if input.ndim < 2 or not input.numel() or not self._suits(input.dtype):
            return None
        if self.packed:
            packed = self._packed(weight, lambda: torch.ops.mkldnn._reorder_linear_weight(weight, len(input)))
            found: Tensor = torch.ops.mkldnn._linear_pointwise(input.contiguous(), packed, bias, "none", [], "")
            return found
        pixels = input.reshape(len(input), -1, 1, input.shape[-1]).movedim(-1, 1)
        y: Tensor = _convolution(pixels, weight[:, :, None, None], bias, NONE, ONE, ONE, 1)
        return y.movedim(1, -1).reshape(*input.shape[:-1], len(weight))

    def convolution(
        self, input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: Any = 1, padding: Any = 0,
        dilation: Any = 1, groups: int = 1,
    ) -> Tensor | None:  # fmt: skip
        if isinstance(padding, str) or not input.numel() or not self._suits(input.dtype):
            return None
        settings = [[one, one] if isinstance(one, int) else list(one) for one in (padding, stride, dilation)]
        if not self.packed:
            return _convolution(input, weight, bias, *settings, groups) if weight.shape[2:] == ONE else None
        packed = self._packed(
            weight, lambda: torch.ops.mkldnn._reorder_convolution_weight(weight, *settings, groups, list(input.shape))
        )
        found: Tensor = torch.ops.mkldnn._convolution_pointwise(input, packed, bias, *settings, groups, "none", [], "")
        return found

    def attention(self, query: Tensor, key: Tensor, value: Tensor, *rest: Any, **settings: Any) -> Tensor | None:
        plain = not rest and not any(settings.values()) and query.dtype == torch.bfloat16
        return attend(query, key, value) if plain else None

    def _suits(self, dtype: torch.dtype) -> bool:
        """In bfloat16 oneDNN computes on CPUs alone that have it, and there torch leaves products to it anyway."""
        return dtype == torch.float32 or (self.packed and dtype == torch.bfloat16 and has_bfloat16("cpu"))

    def _packed(self, weight: Tensor, pack: Callable[[], Tensor]) -> Tensor:
        name = (weight.data_ptr(), weight.shape, weight.stride(), weight.dtype)
        if name not in self._kept:
            self._kept[name] = (weight, pack())  # the weight too, so that nothing else comes to lie where it does
        return self._kept[name][1]


OURS: dict[Any, Callable[..., Tensor | None]] = {
    linear: Products.linear, torch.conv2d: Products.convolution, scaled_dot_product_attention: Products.attention
}  # fmt: skip
