"""Consistency that a critic judges as well: what the distance between two answers calls equal, it may tell apart."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.losses.consistency import ConsistencyLoss
from pellucid.losses.critic import WIDTHS, Critic
from pellucid.losses.discriminator import balance
from pellucid.losses.loss import Losses
from pellucid.losses.pairs import Pairs


class JudgedConsistencyLoss(ConsistencyLoss):
    """The consistency loss and `weight` times the critic's, brought to the same pull on x_0; the critic's own beside.

    The critic compares the data with what f makes of noise, both divided by sigma_data. Kim et al. 2024 (Consistency
    Trajectory Models), eq. 13; the balance by gradients is that of Esser et al. 2021 (VQGAN), eq. 7, taken at the output.

    Arguments:
        denoiser, teacher, pairs, responses: as of `ConsistencyLoss`.
        shape: (C, *space) of x0.
        weight: of the critic's part.
        gamma: of its penalty.
        widths: of its levels, finest first.
    """

    def __init__(
        self, *, denoiser: Consistency, teacher: Parametric, shape: Sequence[int], pairs: Pairs | None = None,
        responses: float = 0.5, weight: float = 0.5, gamma: float = 0.1, widths: Sequence[int] = WIDTHS,
    ) -> None:  # fmt: skip
        super().__init__(denoiser=denoiser, teacher=teacher, pairs=pairs, responses=responses)
        self.judged, self.gamma = weight, gamma
        self.critic = Critic(shape, beside=0, widths=widths)

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:  # noqa: ARG002
        part, level = self.chosen(x0, t)
        ends = self.through(part)
        found = self.compared(ends, part.made, level, eps)
        real, made = x0 / self.denoiser.sigma_data, ends / self.denoiser.sigma_data
        nothing = real[:, :0]
        fooling = self.critic.made_real(made, nothing)
        telling = self.critic.told_apart(real, made, nothing, gamma=self.gamma)
        pull = balance(found.weighted, fooling, ends) if torch.is_grad_enabled() else 1.0
        return Losses(found.weighted + self.judged * pull * fooling + telling, found.x0_error)
