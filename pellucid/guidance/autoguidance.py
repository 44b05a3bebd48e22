"""Autoguidance: a good model guided by a bad version of itself. Karras et al. 2024, eq. 5."""

from torch import Tensor

from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean


class Autoguidance(Denoiser):
    """D = D_weak + w (D_strong - D_weak).

    Arguments:
        denoiser: the one to guide.
        weak: a smaller or less trained denoiser of the same process and conditions.
        guidance: w; 1 leaves the denoiser as it is.
    """

    def __init__(self, denoiser: Denoiser, weak: Denoiser, guidance: float) -> None:
        super().__init__(denoiser.process)
        self.denoiser, self.weak, self.guidance = denoiser, weak, guidance

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        strong = self.denoiser(x_t, t, cond).mean
        if self.guidance == 1:
            return Mean(strong)
        weak = self.weak(x_t, t, cond).mean
        return Mean(weak + self.guidance * (strong - weak))

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        weak = 0 if self.guidance == 1 else self.weak.calls(t, conditional)
        return self.denoiser.calls(t, conditional) + weak
