"""The loss of a denoiser with a latent that learns from a critic: an adversarial network for p(x0 | x_t)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pellucid.core.errors import UnsupportedError
from pellucid.core.shapes import mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.latent import Latent
from pellucid.losses.critic import WIDTHS, Critic
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.visible import asked_for, level_picture, visible
from pellucid.processes.continuous import Continuous


class AdversarialLoss(Loss):
    """Of a `Critic` and of the generator, each minimising its own part.

    The critic sees real x_s ~ q(x_s | x_t, x0) and made x_s' ~ q(x_s | x_t, x0') of x0' = G(x_t, t, z), one level
    s = t - 1/T below t, and beside them what x_t shows of the data and the noise level, so that it compares p(x_s | x_t):
    Xiao et al. 2022 (Denoising Diffusion GANs), eq. 4 to 6. With one level, x_s is clean, x_t shows nothing, and this is the
    plain adversarial network of Goodfellow et al. 2014.

    Arguments:
        denoiser: G.
        gamma: weight of the penalty.
        widths: of the critic's levels, finest first.
    """

    def __init__(self, *, denoiser: Latent, gamma: float = 0.1, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if not denoiser.process.gaussian:
            raise UnsupportedError("An adversarial denoiser is trained on q(x_s | x_t, x0), known for Gaussian noise only")
        self.denoiser = denoiser
        self.gamma = gamma
        told = denoiser.network.embedding_width if len(denoiser.conditioners) else 0
        self.critic = Critic(denoiser.shape, beside=denoiser.shape[0] + 1, told=told, widths=widths)

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    @property
    def noises(self) -> dict[str, tuple[int, ...]]:
        shape = self.denoiser.shape
        return {"latent": (self.denoiser.latent,), "real": shape, "made": shape}

    def forward(
        self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None, noises: dict[str, Tensor] | None = None
    ) -> Losses:
        """x0, eps (B, C, *space); t (B,) among the levels; noises: latent (B, latent), real and made (B, C, *space)."""
        assert noises is not None
        denoiser = self.denoiser
        t = torch.as_tensor(t, dtype=torch.float64)
        x_t = denoiser.process.corrupt(x0, t, eps)
        made = denoiser.draw(x_t, t, noises["latent"].to(x0), cond)
        real, fake = (self._below(x_t, clean, t, noises[name]) for clean, name in ((x0, "real"), (made, "made")))
        beside, vector = self._beside(x_t, t), asked_for(denoiser, cond, len(x0))
        fooling = self.critic.made_real(fake, beside, vector)
        telling = self.critic.told_apart(real, fake, beside, vector, gamma=self.gamma)
        return Losses(fooling + telling, mean_per_sample((made.detach() - x0) ** 2))

    def _below(self, x_t: Tensor, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(x_s | x_t, x0), at the scale that networks are made for."""
        process, s = Continuous.of(self.denoiser.process), (t - 1 / self.denoiser.levels).clamp_min(0)
        mean, std = process.posterior(x_t, x0, t, s)
        alpha_s, sigma_s = process.scales(s, x0)
        return (mean + std * noise.to(x0)) / torch.hypot(alpha_s * self.denoiser.sigma_data, sigma_s)

    def _beside(self, x_t: Tensor, t: Tensor) -> Tensor:
        return torch.cat([visible(self.denoiser, x_t, t), level_picture(self.denoiser, x_t, t)], dim=1)
