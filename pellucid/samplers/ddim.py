"""DDIM. Song et al. 2021 (Denoising Diffusion Implicit Models), eq. 12."""

from dataclasses import dataclass

from torch import Tensor

from pellucid.processes.continuous import posterior_coefficients
from pellucid.samplers.sampler import Now, Sampler, combine
from pellucid.schedules.schedule import require


@dataclass(frozen=True, kw_only=True)
class DDIM(Sampler):
    """x_s = alpha_s x0 + sqrt(sigma_s^2 - std^2) eps + std z, with std = eta times that of q(x_s | x_t, x0).

    Arguments:
        eta: 0 is deterministic, 1 is ancestral DDPM.
        noise_scale: factor on the injected noise; 1 is right, less is a bias towards the mode.
    """

    eta: float = 0.0
    noise_scale: float = 1.0

    def __post_init__(self) -> None:
        require("eta", self.eta, 0, 1, closed=True)
        require("noise_scale", self.noise_scale, 0, 2, closed=True)

    @property
    def stochastic(self) -> bool:
        return self.eta > 0

    def step(self, now: Now, x: Tensor) -> Tensor:
        (alpha_t, sigma_t), (alpha_s, sigma_s) = now.scales(now.t), now.scales(now.s)
        x0 = now.mean(x, now.t)
        std = self.eta * posterior_coefficients(now.process.schedule, now.t, now.s)[2]
        eps_share = (sigma_s**2 - std**2).clamp_min(0).sqrt() / sigma_t  # eps = (x - alpha_t x0) / sigma_t
        x_s = combine((eps_share, x), (alpha_s - eps_share * alpha_t, x0))
        if float(std) == 0:
            return x_s
        return combine((1.0, x_s), (self.noise_scale * std, now.noise(x)))
