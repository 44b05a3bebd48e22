"""Ancestral sampling: draw x_s from q(x_s | x_t, x0). Ho et al. 2020 (DDPM), algorithm 2, for any process."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from pellucid.processes.continuous import Continuous
from pellucid.samplers.sampler import Now, Sampler
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class Ancestral(Sampler):
    """x_s = mean of q(x_s | x_t, x0) + std z, with x0 replaced by its posterior mean: exact as the steps become small.

    With noise that is not Gaussian, z is of the process's kind and mean and variance of each step are matched.

    Arguments:
        noise_scale: factor on the injected noise; 1 is right.
    """

    assumes_gaussian: ClassVar[bool] = False
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        require("noise_scale", self.noise_scale, 0, 2, closed=True)

    @property
    def stochastic(self) -> bool:
        return True

    def step(self, now: Now, x: Tensor) -> Tensor:
        mean, std = Continuous.of(now.process).posterior(x, now.mean(x, now.t), now.t, now.s)
        return mean if float(std) == 0 else mean + self.noise_scale * std * now.noise(x)


@dataclass(frozen=True, kw_only=True)
class PosteriorSampling(Sampler):
    """x_s drawn from q(x_s | x_t, x0), x0 from p(x0 | x_t): exact at any number of steps when the samples are.

    Xiao et al. 2022 (Denoising Diffusion GANs), eq. 5. A mean in place of a sample is refused.
    """

    needs: ClassVar[str] = "sample"

    @property
    def stochastic(self) -> bool:
        return True

    def step(self, now: Now, x: Tensor) -> Tensor:
        mean, std = Continuous.of(now.process).posterior(x, now.sample(x, now.t), now.t, now.s)
        return mean if float(std) == 0 else mean + std * now.noise(x)
