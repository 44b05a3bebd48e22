"""The loss of tokens: by how much they are less likely than they might be."""

import torch
from torch import Tensor, nn

from pellucid.core.shapes import expand
from pellucid.denoisers.categorical import Categorical
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.losses.loss import Loss, Losses
from pellucid.processes.discrete import Discrete


class ElboLoss(Loss):
    """The rate of the ELBO at t, in nats per token, for t uniform: its mean bounds -log p(x0) from above. See
    `Discrete.rate`. Tokens at t = 0, which are known, take no part.

    Arguments:
        denoiser: what is trained.
    """

    def __init__(self, *, denoiser: Categorical) -> None:
        super().__init__()
        self.denoiser = denoiser

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        """x0 (B, C, *space), int64; eps of its shape, uniform; t (B,), or broadcastable to x0. `x0_error` is how often the
        likeliest token is not the right one, among those that are not known.
        """
        process, t = Discrete.of(self.denoiser.process), expand(t, x0).expand(x0.shape)
        where, log_p, rate = rates(self.denoiser, x0, process.corrupt(x0, t, eps), t, cond)
        wrong = (log_p.detach().argmax(-1) != x0[where]).to(rate)
        count = (process.keep(t, x0)[0] < 1).flatten(1).sum(1).clamp(min=1)
        sums = rate.new_zeros(2, len(x0)).index_add(1, where.nonzero()[:, 0], torch.stack([rate, wrong]))
        weighted, x0_error = sums / count
        return Losses(weighted, x0_error)


def rates(denoiser: Denoiser, x0: Tensor, x_t: Tensor, t: Tensor, cond: Cond | None) -> tuple[Tensor, Tensor, Tensor]:
    """Which tokens (B, C, *space) of x_t leave open what x0 is, and of these alone log p(x0 | x_t), (N, K), and the rates of
    the ELBO, (N,), those of all others being 0.

    Arguments:
        t: of each token, (B, C, *space).
    """
    process = Discrete.of(denoiser.process)
    where = process.unsettled(x_t, t)
    log_p = denoiser(x_t, t, cond).at(where)
    return where, log_p, process.rate(x0[where], x_t[where], log_p, t[where.to(t.device)])
