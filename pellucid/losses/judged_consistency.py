"""Consistency that a critic judges as well: what the distance between two answers calls equal, it may tell apart."""

from collections.abc import Sequence

import torch
from torch import Tensor

from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.losses.consistency import ConsistencyLoss, move
from pellucid.losses.critic import WIDTHS, Critic
from pellucid.losses.discriminator import balance
from pellucid.losses.loss import Losses
from pellucid.losses.visible import asked_for, level_picture


class JudgedConsistencyLoss(ConsistencyLoss):
    """The consistency loss and `weight` times the critic's, brought to the same pull on f(x_t, t); the critic's own beside.

    The critic compares x_s, the data as noisy as at the end of the segment, with what f makes of x_t there, both divided by
    sigma_data, and knows t and the conditions. Kim et al. 2024 (Consistency Trajectory Models), eq. 13; the balance by
    gradients is that of Esser et al. 2021 (VQGAN), eq. 7, taken at the output.

    Arguments:
        denoiser, teacher, intervals, strides: as of `ConsistencyLoss`.
        shape: (C, *space) of x0.
        weight: of the critic's part.
        gamma: of its penalty.
        widths: of its levels, finest first.
    """

    def __init__(
        self, *, denoiser: Consistency, teacher: Denoiser, shape: Sequence[int], intervals: int = 1, strides: int = 4,
        weight: float = 0.5, gamma: float = 0.1, widths: Sequence[int] = WIDTHS,
    ) -> None:  # fmt: skip
        super().__init__(denoiser=denoiser, teacher=teacher, intervals=intervals, strides=strides)
        self.weight, self.gamma = weight, gamma
        told = denoiser.network.embedding_width if len(denoiser.conditioners) else 0
        self.critic = Critic(shape, beside=1, told=told, widths=widths)

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        denoiser = self.denoiser
        x_t, t, s = self.start(x0, t, eps)
        here, consistent = self.consistent(x_t, t, cond)
        made = move(denoiser.process, x_t, here, t, s) / denoiser.sigma_data
        real = denoiser.process.corrupt(x0, s, eps) / denoiser.sigma_data
        beside, vector = level_picture(denoiser, x0, t), asked_for(denoiser, cond, len(x0))
        fooling = self.critic.made_real(made, beside, vector)
        telling = self.critic.told_apart(real, made, beside, vector, gamma=self.gamma)
        pull = balance(consistent, fooling, here) if torch.is_grad_enabled() else 1.0
        return Losses(consistent + self.weight * pull * fooling + telling, mean_per_sample((here.detach() - x0) ** 2))
