"""How the noisy input and its noise level are presented to the network."""

from math import log
from typing import Literal

import torch
from torch import Tensor

from pellucid.schedules.schedule import Schedule

Preconditioning = Literal["edm", "plain"]

NOISIEST, CLEANEST = -2 * log(200), 24.0
"""The log-SNR beyond which a level is told to the network as this one; at the ends of a schedule it is infinite.

With sigma = 200 alpha next to nothing can be seen of the data, and few samples of training lie further out: 3 in 1,000 of
`mode`, none of `logit_normal`. A network told of such levels all the same extrapolates, which was seen to spoil the first
step of every sampler (LOG.md, 2026-11-25). The other limit keeps log-SNR finite at t = 0.
"""


def scale_in(kind: Preconditioning, schedule: Schedule, t: Tensor, sigma_data: float | Tensor) -> Tensor:
    """c_in: "edm" gives unit variance, 1 / sqrt(alpha^2 sigma_data^2 + sigma^2) (Karras et al. 2022, table 1)."""
    if kind == "plain":
        return torch.ones_like(schedule.alpha(t))
    return 1 / torch.hypot(schedule.alpha(t) * sigma_data, schedule.sigma(t))


def noise_level(kind: Preconditioning, schedule: Schedule, t: Tensor, scale: Tensor | None = None) -> Tensor:
    """c_noise: "edm" gives log(sigma / (alpha scale)) / 4 = -log_snr / 8, within limits; "plain" gives t."""
    if kind == "plain":
        return t
    log_snr = schedule.log_snr(t) if scale is None else schedule.log_snr(t) + 2 * scale.log()
    return -log_snr.clamp(NOISIEST, CLEANEST) / 8
