"""The loss of a denoiser with a latent that is inferred: a variational autoencoder for p(x0 | x_t)."""

from collections.abc import Sequence
from math import ceil, prod

import torch
from torch import Tensor, nn

from pellucid.codecs.autoencoder import Encoder
from pellucid.core.shapes import expand, mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.latent import Variational
from pellucid.denoisers.preconditioning import noise_level
from pellucid.losses.autoencoding import kl_divergence
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.visible import visible
from pellucid.networks.grid import pad

WIDTHS = (32, 64, 128)


class VariationalLoss(Loss):
    """-log p(x0 | x_t) is at most E_q[-log N(x0; G(x_t, t, z), s^2)] + KL(q(z | x0, x_t) || N(0, I)).

    In nats per value, less the constant log(2π) / 2: Sohn et al. 2015, eq. 4; at t = 1, where x_t shows nothing, the bound
    of Kingma and Welling 2014, eq. 3. The variance s^2 is learned for each noise level (Rybkin et al. 2021, sigma-VAE), so
    no weight is left between the two terms.

    Arguments:
        denoiser: G.
        kl: factor of the divergence; 1 is the bound.
        widths: of the encoder's levels, finest first.
    """

    def __init__(self, *, denoiser: Variational, kl: float = 1.0, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels, *space = denoiser.shape
        fold = tuple(2 if n > 1 else 1 for n in space)
        self.denoiser = denoiser
        self.kl = kl
        self.stride = tuple(n ** len(widths) for n in fold)
        self.encoder = Encoder(2 * channels + 1, widths[-1], fold, widths, blocks=1)
        positions = prod(ceil(n / stride) for n, stride in zip(space, self.stride, strict=True))
        self.head = nn.Linear(widths[-1] * positions, 2 * denoiser.latent)

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    @property
    def noises(self) -> dict[str, tuple[int, ...]]:
        return {"latent": (self.denoiser.latent,)}

    def forward(
        self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None, noises: dict[str, Tensor] | None = None
    ) -> Losses:
        """x0, eps (B, C, *space); t (B,); noises: latent (B, latent)."""
        assert noises is not None
        denoiser = self.denoiser
        t = torch.as_tensor(t, dtype=torch.float64)
        x_t = denoiser.process.corrupt(x0, t, eps)
        mean, log_variance = self.inferred(x0, x_t, t)
        z = mean + torch.exp(log_variance / 2) * noises["latent"].to(mean)
        error = mean_per_sample((denoiser.draw(x_t, t, z, cond) - x0) ** 2)
        u = denoiser.observed(denoiser.level(t).to(error.device))
        divergence = kl_divergence(mean, log_variance) / x0[0].numel()
        return Losses((error / u.exp() + u) / 2 + self.kl * divergence, error.detach())

    def inferred(self, x0: Tensor, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z | x0, x_t), (B, latent) each."""
        denoiser = self.denoiser
        level = expand(noise_level("edm", denoiser.process.schedule, t), x0).to(x0).expand_as(x0[:, :1])
        shown = torch.cat([x0 / denoiser.sigma_data, visible(denoiser, x_t, t), level], dim=1)
        features = self.encoder(pad(shown.movedim(1, -1), self.stride)).flatten(1)
        mean, log_variance = self.head(features).chunk(2, dim=1)
        return mean, log_variance.clamp(-20, 10)
