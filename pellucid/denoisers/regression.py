"""The denoiser that is trained by regression: it knows the mean of the posterior."""


from torch import Tensor

from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.posterior import Mean


class Regression(Parametric):
    """D(x_t, t) = c_skip x_t + c_out F(c_in x_t, c_noise, cond), which approximates E[x0 | x_t].

    Arguments: see `Parametric`.
    """

    offers: frozenset[str] = frozenset({"mean"})

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        return Mean(self.clean(x_t, t, cond))
