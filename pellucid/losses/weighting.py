"""How much each noise level counts in the loss.

All weights w multiply |D - x0|^2, the error of the clean data, whatever the network predicts: a prediction of kind F has
x0 = c_skip x_t + c_out F, so its own squared error is multiplied by w c_out^2. That is why there is one min-SNR and no
special form of it for eps or v.
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.schedules.schedule import Schedule


class Weighting(nn.Module, ABC):
    """`weighting(losses, schedule, t, ...)` -> weighted losses."""

    @abstractmethod
    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor | None:
        """w, float64 in the shape of t; None stands for 1 / c_out^2, the network's plain squared error."""

    def forward(self, loss: Tensor, c_out: Tensor, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:
        """The network's own squared errors `loss`, weighted; all of shape (B,)."""
        weight = self.x0_weight(schedule, t, sigma_data)
        return loss if weight is None else (weight * c_out**2).to(loss) * loss


class Plain(Weighting):
    """The network's squared error as it is."""

    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> None:  # noqa: ARG002
        return None


class EDM(Weighting):
    """(r^2 + sigma_data^2) / (r sigma_data)^2 with r = sigma / alpha. Karras et al. 2022, table 1."""

    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:
        return torch.exp(schedule.log_snr(t)) + sigma_data**-2


class MinSNR(Weighting):
    """min(SNR, gamma). Hang et al. 2023, eq. 8; for v it is min(SNR, gamma) / (SNR + 1) on the error of v.

    Arguments:
        gamma: the cap.
    """

    def __init__(self, *, gamma: float = 5.0) -> None:
        super().__init__()
        if gamma <= 0:
            raise ConfigError(f"gamma = {gamma:g} is out of range: allowed is above 0")
        self.gamma = gamma

    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:  # noqa: ARG002
        return torch.exp(schedule.log_snr(t)).clamp(max=self.gamma)


class Sigmoid(Weighting):
    """SNR S(bias - log_snr): S(bias - log_snr) on the error of eps. Hoogeboom et al. 2024 (SiD2), section 3.1.

    Their factor -1/2 dλ/dt belongs to an integral over log-SNR; here the distribution of times takes its place.

    Arguments:
        bias: log-SNR above which a level counts less.
    """

    def __init__(self, *, bias: float = -1.0) -> None:
        super().__init__()
        self.bias = bias

    def x0_weight(self, schedule: Schedule, t: Tensor, sigma_data: float) -> Tensor:  # noqa: ARG002
        log_snr = schedule.log_snr(t)
        return torch.exp(log_snr + torch.nn.functional.logsigmoid(self.bias - log_snr))
