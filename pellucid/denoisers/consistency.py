"""The denoiser that goes to the end of its path in one call, or in a few."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner
from pellucid.core.errors import ConfigError
from pellucid.core.random import Draws
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.posterior import Posterior
from pellucid.denoisers.preconditioning import Preconditioning
from pellucid.denoisers.prediction import Prediction
from pellucid.networks.network import Network
from pellucid.processes.process import Process


class Consistency(Parametric):
    """f(x_t, t) = c_skip x_t + c_out F: the x0 that leads from x_t straight to where its path through the segment ends.

    In one segment that is the x0 in which the path of the probability flow through x_t ends (Song et al. 2023, Consistency
    Models, section 3): of x_1 a draw of the data, of x_t it stands for a draw of p(x0 | x_t), which sampling in several
    steps noises again. In several, each ends at s = k / K, and sampling goes from end to end (Heek et al. 2024, Multistep
    Consistency Models, section 3.1). Made from a model that regresses: `pellucid speedup`.

    Arguments: see `Parametric`; f(x, 0) = x, so `prediction` is any but x0.
        segments: K.
    """

    offers: frozenset[str] = frozenset({"sample"})

    def __init__(
        self,
        *,
        process: Process,
        network: Network,
        conditioners: Mapping[str, Conditioner] | None = None,
        prediction: Prediction = "edm",
        preconditioning: Preconditioning = "edm",
        sigma_data: float = 0.5,
        segments: int = 1,
    ) -> None:
        super().__init__(
            process=process, network=network, conditioners=conditioners, prediction=prediction,
            preconditioning=preconditioning, sigma_data=sigma_data,
        )  # fmt: skip
        if segments < 1:
            raise ConfigError(f"denoiser.segments = {segments}: expected 1 or more")
        self.segments = segments

    @property
    def sampling(self) -> dict[str, Any]:
        sampler = {"name": "consistency", "fresh": self.segments == 1}
        return {"sampler": sampler, "steps": self.segments, "grid": "uniform"}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "End":
        return End(self.clean(x_t, t, cond))


class End(Posterior):
    """A point that stands for a draw."""

    def __init__(self, x0: Tensor) -> None:
        self.x0 = x0

    def sample(self, draws: Draws, step: int) -> Tensor:  # noqa: ARG002
        return self.x0
