"""How the noisy input and its noise level are presented to the network."""

from typing import Literal

import torch
from torch import Tensor

from pellucid.schedules.schedule import Schedule

Preconditioning = Literal["edm", "plain"]

LOG_SNR_LIMIT = 24.0
"""Beyond this |log-SNR| noise levels look alike in float32, and the ends of a schedule, where it is infinite, are there."""


def scale_in(kind: Preconditioning, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:
    """c_in: "edm" gives unit variance, 1 / sqrt(alpha^2 sigma_data^2 + sigma^2) (Karras et al. 2022, table 1)."""
    if kind == "plain":
        return torch.ones_like(schedule.alpha(t))
    return 1 / torch.hypot(schedule.alpha(t) * sigma_data, schedule.sigma(t))


def noise_level(kind: Preconditioning, schedule: Schedule, t: Tensor) -> Tensor:
    """c_noise: "edm" gives log(sigma / alpha) / 4 = -log_snr / 8, "plain" gives t."""
    if kind == "plain":
        return t
    return -schedule.log_snr(t).clamp(-LOG_SNR_LIMIT, LOG_SNR_LIMIT) / 8
