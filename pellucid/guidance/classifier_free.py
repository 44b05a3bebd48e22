"""Classifier-free guidance. Ho and Salimans 2022, eq. 6, with 1 = off; on an interval as Kynkäänniemi et al. 2024."""

from math import inf

import torch
from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean


class ClassifierFree(Denoiser):
    """D = D_null + w (D_cond - D_null), where log-SNR lies in [low, high]; D_cond elsewhere.

    Both are evaluated in one batch. The result has a mean only: guided posteriors are not sampled.

    Arguments:
        denoiser: the one to guide; its `null(cond)` asks for nothing.
        guidance: w; 1 leaves the denoiser as it is.
        low, high: limits of log-SNR between which guidance acts.
    """

    def __init__(self, denoiser: Denoiser, guidance: float, *, low: float = -inf, high: float = inf) -> None:
        super().__init__(denoiser.process)
        self.denoiser, self.guidance, self.low, self.high = denoiser, guidance, low, high

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        acts = self._acts(t)
        if cond is None or not bool(acts.any()):
            return Mean(self.denoiser(x_t, t, cond).mean)
        null = self.null(cond)
        both = {name: torch.cat([value, null[name].to(value)]) for name, value in cond.items()}
        times = t if t.numel() == 1 or len(t) == 1 else torch.cat([t, t])
        wanted, neutral = self.denoiser(torch.cat([x_t, x_t]), times, both).mean.chunk(2)
        weight = torch.where(acts, self.guidance, 1.0)
        return Mean(neutral + expand(weight, x_t).to(x_t) * (wanted - neutral))

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        acts = conditional and bool(self._acts(torch.tensor(t, dtype=torch.float64)))
        return self.denoiser.calls(t, conditional) * (2 if acts else 1)

    def _acts(self, t: Tensor) -> Tensor:
        log_snr = self.process.schedule.log_snr(torch.as_tensor(t, dtype=torch.float64))
        return (log_snr >= self.low) & (log_snr <= self.high) & (self.guidance != 1)
