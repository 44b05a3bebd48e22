"""Denoisers with a latent: each value of it is another answer to the same x_t, so they draw samples and know no mean.

With few big steps p(x0 | x_t) is far from a point, and what a regression gives is a blur; a draw is none. Trained as a
variational autoencoder or against an adversary, one big step is the plain autoencoder and the plain adversarial network.
"""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from pellucid.conditioners.conditioner import Conditioner
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Draws
from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.posterior import Posterior
from pellucid.denoisers.preconditioning import Preconditioning
from pellucid.denoisers.prediction import Prediction
from pellucid.networks.network import Network
from pellucid.processes.process import Process

QUICK = 20.0
"""How much faster log s^2 moves than what else is learned: it goes a long way, and the rest waits for it."""


class Latent(Parametric):
    """x0 = G(x_t, t, cond, z), z ~ N(0, I): one network call a draw.

        told   W z                   a vector beside those of the conditions
        seen   P z, (B, C, *space)   beside x_t, so that z can say where things are

    Arguments:
        levels: T, the number of big steps that it is made for: it is trained at t = 1/T, 2/T, ..., 1 and sampled there.
        latent: numbers in z.
        shape: (C, *space) of x0.
        process, network, conditioners, prediction, preconditioning, sigma_data: see `Parametric`; the network sees 2 C
            channels.
    """

    offers: frozenset[str] = frozenset({"sample"})
    pictures: ClassVar[int] = 2
    spreads: ClassVar[bool] = False
    log_variance: nn.Parameter | None

    def __init__(
        self,
        *,
        process: Process,
        network: Network,
        shape: Sequence[int],
        conditioners: Mapping[str, Conditioner] | None = None,
        levels: int = 4,
        latent: int = 64,
        prediction: Prediction = "x0",
        preconditioning: Preconditioning = "edm",
        sigma_data: float = 0.5,
    ) -> None:
        if min(levels, latent) < 1:
            raise ConfigError(f"denoiser.levels = {levels}, latent = {latent}: expected 1 or more of each")
        super().__init__(
            process=process, network=network, conditioners=conditioners, prediction=prediction,
            preconditioning=preconditioning, sigma_data=sigma_data,
        )  # fmt: skip
        self.levels = levels
        self.latent = latent
        self.shape = tuple(shape)
        self.vector = nn.Linear(latent, network.embedding_width)
        self.picture = nn.Linear(latent, prod(self.shape))
        self.log_variance = nn.Parameter(torch.zeros(levels)) if self.spreads else None

    @property
    def sampling(self) -> dict[str, Any]:
        return {"sampler": "posterior", "steps": self.levels, "grid": "uniform"}

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> "Drawn":
        level = torch.as_tensor(t, dtype=torch.float64).cpu() * self.levels
        near = torch.isclose(level, level.round(), rtol=0, atol=1e-6)
        if not torch.compiler.is_exporting() and not bool(near.all()):
            raise UnsupportedError(
                f"{type(self).__name__} was made for noise levels t = k / {self.levels} alone: sample on the uniform grid "
                f"in {self.levels} steps, or in a number that divides it"
            )
        return Drawn(self, x_t, t, cond)

    def draw(self, x_t: Tensor, t: Tensor, z: Tensor, cond: Cond | None = None) -> Tensor:
        """G: x0 (B, C, *space) for a latent z (B, latent)."""
        return self.clean(x_t, t, cond, seen=self.picture(z).unflatten(1, self.shape), told=self.vector(z))

    def level(self, t: Tensor) -> Tensor:
        """k of t = k / T, counted from 0, in the shape of t."""
        return (torch.as_tensor(t, dtype=torch.float64) * self.levels).round().long() - 1

    def spread(self, t: Tensor, like: Tensor) -> Tensor | None:  # noqa: ARG002
        """Standard deviation of p(x0 | x_t, z) around G, broadcastable to `like`; None: a point."""
        return None


class Drawn(Posterior):
    """p(x0 | x_t) as a latent gives it."""

    def __init__(self, denoiser: Latent, x_t: Tensor, t: Tensor, cond: Cond | None) -> None:
        self.denoiser, self.x_t, self.t, self.cond = denoiser, x_t, t, cond

    def sample(self, draws: Draws, step: int) -> Tensor:
        z = draws.normal("latent", step, (self.denoiser.latent,)).to(self.x_t)
        x0 = self.denoiser.draw(self.x_t, self.t, z, self.cond)
        spread = self.denoiser.spread(self.t, x0)
        return x0 if spread is None else x0 + spread * draws.normal("around", step, x0.shape[1:]).to(x0)


class Variational(Latent):
    """A decoder whose z was inferred from x0 and x_t while it learned: see `losses.VariationalLoss`.

    Kingma and Welling 2014; with x_t beside it, the conditional one of Sohn et al. 2015. A draw is one of
    N(G, s^2): at the last level, as those of autoencoders are shown, G alone.

    Arguments: see `Latent`.
    """

    spreads: ClassVar[bool] = True

    def spread(self, t: Tensor, like: Tensor) -> Tensor | None:
        level = self.level(t).to(like.device)
        std = torch.where(level > 0, self.observed(level).exp().sqrt(), 0.0)
        return expand(std, like).to(like) if self.levels > 1 else None

    def observed(self, level: Tensor) -> Tensor:
        """log s^2 at each level, in the shape of `level`."""
        assert self.log_variance is not None
        found: Tensor = QUICK * self.log_variance[level]
        return found


class Adversarial(Latent):
    """A generator that learned against a critic, which sees two neighbouring levels: see `losses.AdversarialLoss`.

    Xiao et al. 2022 (Denoising Diffusion GANs), section 3; at one level that of Goodfellow et al. 2014.
    """
