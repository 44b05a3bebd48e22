"""Classifier-free guidance. Ho and Salimans 2022, eq. 6, with 1 = off."""

import torch
from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior
from pellucid.guidance.interval import EVERYWHERE, Interval, off
from pellucid.guidance.leading import LED, centre, lead


class ClassifierFree(Denoiser):
    """D = D_cond + (w - 1) (D_cond - D_null) within an interval of noise levels; D_cond elsewhere.

    That is D_null + w (D_cond - D_null), written so that w = 1 leaves D_cond as it is to the last bit. Both are evaluated in
    one batch. Of tokens D is their log-probabilities, up to a sum.

    Arguments:
        denoiser: the one to guide; its `null(cond)` asks for nothing.
        guidance: w; 1 leaves the denoiser as it is.
        interval: where guidance acts.
        away: entries of `cond`, one row each, to lead away from instead of nothing: a negative prompt.
    """

    def __init__(
        self, denoiser: Denoiser, guidance: float, *, interval: Interval = EVERYWHERE, away: Cond | None = None
    ) -> None:
        super().__init__(denoiser.process)
        self.denoiser, self.guidance, self.interval, self.away = denoiser, guidance, interval, away or {}
        self.offers = denoiser.offers & LED

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:
        weight = self._weight(t)
        if cond is None or off(weight):
            return lead(self, centre(self, self.denoiser(x_t, t, cond)), None, weight, x_t)
        null = {**self.null(cond), **{name: row.expand(x_t.shape[0], *row.shape[1:]) for name, row in self.away.items()}}
        both = {name: torch.cat([value, null[name].to(value)]) for name, value in cond.items()}
        times = t if t.ndim == 0 or t.shape[0] == 1 else torch.cat([t, t])
        answers, count = centre(self, self.denoiser(torch.cat([x_t, x_t]), times, both)), x_t.shape[0]
        return lead(self, answers[:count], answers[count:], weight, x_t)

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        acts = conditional and bool(self._weight(t) != 1)
        return self.denoiser.calls(t, conditional) * (2 if acts else 1)

    def _weight(self, t: Tensor | float) -> Tensor:
        return self.interval.weight(self.guidance, t, self.process.schedule)
