"""The one residual block of all networks: a branch whose input and output follow the noise level."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from pellucid.networks.initialise import zeroed


class Modulation(nn.Module):
    """(1 + scale) · norm(x) + shift, with (shift, scale) linear in the embedding and zero at the start.

    Adaptive layer norm (Perez et al. 2018, FiLM; Dhariwal and Nichol 2021, section 3.1). `extra` more values per feature
    are returned beside the result. The norm is LayerNorm without gains, which on CPUs costs half of an unfused RMSNorm.

    Shapes: x (B, *grid, width); embedding (B, *grid or ones, embedding_width).
    """

    def __init__(self, width: int, embedding_width: int, extra: int = 0) -> None:
        super().__init__()
        self.parts = 2 + extra
        self.linear = zeroed(nn.Linear(embedding_width, self.parts * width))

    def forward(self, x: Tensor, embedding: Tensor) -> tuple[Tensor, ...]:
        shift, scale, *extra = self.linear(embedding).chunk(self.parts, dim=-1)
        return torch.addcmul(shift, 1 + scale, layer_norm(x, x.shape[-1:], eps=1e-6)), *extra


class Modulated(nn.Module):
    """x + gate · branch((1 + scale) · norm(x) + shift): the identity at the start, as the gate is zero.

    Peebles and Xie 2023 (DiT), section 3.2, adaLN-Zero. The branch maps (B, *grid, width) to the same shape and is given the
    tokens, of which most kinds take no notice.
    """

    def __init__(self, branch: nn.Module, width: int, embedding_width: int) -> None:
        super().__init__()
        self.branch = branch
        self.modulation = Modulation(width, embedding_width, extra=1)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor | None = None) -> Tensor:
        h, gate = self.modulation(x, embedding)
        return torch.addcmul(x, gate, self.branch(h, tokens))


class Blocks(nn.Module):
    """Branches, each in a `Modulated` block, one after the other: x (B, *grid, width) to the same shape."""

    def __init__(self, branches: Iterable[nn.Module], width: int, embedding_width: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Modulated(branch, width, embedding_width) for branch in branches)

    def forward(self, x: Tensor, embedding: Tensor, tokens: Tensor | None = None) -> Tensor:
        for block in self.blocks:
            x = block(x, embedding, tokens)
        return x
