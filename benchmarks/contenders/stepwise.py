"""The two adapters between networks: ours as the peers call them, the peers' as ours are called."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from pellucid.denoisers.preconditioning import CLEANEST, NOISIEST
from pellucid.networks.network import Network

PEERS_STEPS = 1000.0
"""The steps that the peers' embeddings of time are made for."""


class Stepwise(nn.Module):
    """`network(x, steps)`, as peers call it: x (B, C, H, W), steps (B,) whole numbers.

    A network of ours is told the noise level of the step in the peer's own table, as -log_snr / 8.

    Arguments:
        module: diffusers' or denoising-diffusion-pytorch's U-Net, or one of our networks.
        channels: of x.
    """

    def __init__(self, module: nn.Module, channels: int) -> None:
        super().__init__()
        self.module = module
        self.channels = self.out_dim = channels  # read by GaussianDiffusion
        self.self_condition = False
        self.levels = torch.empty(0)

    def tell(self, alphas_cumprod: Tensor) -> None:
        """The peer's table, alpha_k^2."""
        squares = alphas_cumprod.double()
        log_snr = (squares.log() - torch.log1p(-squares)).clamp(NOISIEST, CLEANEST)
        self.levels = -log_snr / 8

    def forward(self, x: Tensor, steps: Tensor, x_self_cond: Tensor | None = None) -> Tensor:  # noqa: ARG002
        if isinstance(self.module, Network):
            answer: Tensor = self.module(x, self.levels[steps].to(x))
            return answer
        return _tensor(self.module(x, steps))


class Levelled(Network):
    """A peer's network as one of ours: `network(x, c_noise)`, c_noise = log(sigma / alpha) / 4.

    The peer is told 1,000 sigma / (alpha + sigma) for the number of the step, which under the rectified schedule is 1,000 t;
    its embedding takes numbers between whole ones.
    """

    embedding_width = 0
    ranks = (2,)

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(
        self, x: Tensor, c_noise: Tensor, vector: Tensor | None = None, tokens: Tensor | None = None  # noqa: ARG002
    ) -> Tensor:
        assert vector is None  # unconditional
        return _tensor(self.module(x, PEERS_STEPS * torch.sigmoid(4 * c_noise)))

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        raise NotImplementedError  # the registry's contract tests do not see it


def _tensor(output: Any) -> Tensor:
    """diffusers' answers come in a record."""
    answer: Tensor = output if isinstance(output, Tensor) else output.sample
    return answer
