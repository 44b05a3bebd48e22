"""The loss of tokens: by how much they are less likely than they might be."""

from torch import Tensor, nn

from pellucid.denoisers.categorical import Categorical
from pellucid.denoisers.denoiser import Cond
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
        process = Discrete.of(self.denoiser.process)
        x_t = process.corrupt(x0, t, eps)
        log_p = self.denoiser(x_t, t, cond).logits
        unknown = process.keep(t, x0)[0].expand(x0.shape) < 1
        count = unknown.flatten(1).sum(1).clamp(min=1)
        rate = process.rate(x0, x_t, log_p, t)
        wrong = (log_p.detach().argmax(-1) != x0) & unknown
        return Losses(rate.flatten(1).sum(1) / count, (wrong.flatten(1).sum(1) / count).to(rate))
