"""The denoiser that goes to the end of its path in one call."""

from typing import Any, ClassVar

from torch import Tensor

from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.posterior import Posterior


class Consistency(Parametric):
    """f(x_t, t) = c_skip x_t + c_out F: the x0 in which the path of the probability flow through x_t ends.

    Song et al. 2023 (Consistency Models), section 3. Of x_1 that is a draw of the data; of x_t it stands for a draw of
    p(x0 | x_t), which sampling in several steps noises again. Made from a model that regresses: `pellucid speedup`.

    Arguments: see `Parametric`; f(x, 0) = x, so `prediction` is any but x0.
    """

    offers: ClassVar[frozenset[str]] = frozenset({"sample"})

    @property
    def sampling(self) -> dict[str, Any]:
        return {"sampler": "consistency", "steps": 2, "grid": "uniform"}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "End":
        return End(self.clean(x_t, t, cond))


class End(Posterior):
    """A point that stands for a draw."""

    def __init__(self, x0: Tensor) -> None:
        self.x0 = x0

    def sample(self, draws: Draws, step: int) -> Tensor:  # noqa: ARG002
        return self.x0
