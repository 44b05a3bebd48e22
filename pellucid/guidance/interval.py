"""Where guidance acts: an interval of noise levels. Kynkäänniemi et al. 2024."""

from dataclasses import dataclass
from math import inf

import torch
from torch import Tensor

from pellucid.schedules.schedule import Schedule


@dataclass(frozen=True, kw_only=True)
class Interval:
    """log-SNR in [low, high], ends included."""

    low: float = -inf
    high: float = inf

    def weight(self, guidance: float, t: Tensor | float, schedule: Schedule) -> Tensor:
        """`guidance` at the times t whose noise level lies in it, 1 (off) at others."""
        log_snr = schedule.log_snr(torch.as_tensor(t, dtype=torch.float64))
        inside = (log_snr >= self.low) & (log_snr <= self.high)
        return torch.where(inside, torch.tensor(guidance, dtype=torch.float64), 1.0)


def off(weight: Tensor) -> bool:
    """Whether guidance of this weight leaves everything as it is; of a weight that is not known yet, in a graph, it may
    not.
    """
    return not torch.compiler.is_exporting() and bool((weight == 1).all())


EVERYWHERE = Interval()
