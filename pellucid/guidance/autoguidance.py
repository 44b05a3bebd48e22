"""Autoguidance: a model guided by a bad version of itself. Karras et al. 2024 (autoguidance), section 3."""

from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior
from pellucid.guidance.interval import EVERYWHERE, Interval, off
from pellucid.guidance.leading import LED, centre, lead


class Autoguidance(Denoiser):
    """D = D_strong + (w - 1) (D_strong - D_weak) within an interval of noise levels; D_strong elsewhere.

    The two err in the same directions, the weak one further: a weight above 1 goes on from it past the strong one, towards
    the truth. Both are asked for the same condition, or for none.

    Arguments:
        denoiser: the one to guide.
        weak: a smaller or less trained denoiser of the same process and conditions.
        guidance: w; 1 leaves the denoiser as it is.
        interval: where guidance acts.
    """

    def __init__(
        self, denoiser: Denoiser, weak: Denoiser, guidance: float, *, interval: Interval = EVERYWHERE
    ) -> None:  # fmt: skip
        super().__init__(denoiser.process)
        self.denoiser, self.weak, self.guidance, self.interval = denoiser, weak, guidance, interval
        self.offers = denoiser.offers & LED

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:
        strong, weight = centre(self, self.denoiser(x_t, t, cond)), self._weight(t)
        weak = None if off(weight) else centre(self, self.weak(x_t, t, cond))
        return lead(self, strong, weak, weight, x_t)

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        weak = self.weak.calls(t, conditional) if bool(self._weight(t) != 1) else 0
        return self.denoiser.calls(t, conditional) + weak

    def _weight(self, t: Tensor | float) -> Tensor:
        return self.interval.weight(self.guidance, t, self.process.schedule)
