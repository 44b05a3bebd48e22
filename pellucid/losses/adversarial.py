"""The loss of a denoiser with a latent that learns from a critic: an adversarial network for p(x0 | x_t)."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pellucid.core.errors import UnsupportedError
from pellucid.core.shapes import expand, mean_per_sample
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.latent import Latent
from pellucid.denoisers.preconditioning import noise_level
from pellucid.losses.discriminator import PatchDiscriminator
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.visible import visible

WIDTHS = (64, 128, 256)


class Critic(nn.Module):
    """How real x_s looks beside x_t, of each patch: above 0 or below.

    It sees x_s, what x_t shows of the data, the noise level and, where there are conditions, a picture of those.

    Arguments:
        denoiser: whose samples it judges.
        widths: of its levels, finest first.
    """

    def __init__(self, denoiser: Latent, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels, *space = denoiser.shape
        asked = len(denoiser.conditioners) > 0
        self.space = tuple(space)
        self.network = PatchDiscriminator((2 * channels + 1 + asked, *space), widths)
        self.asked = nn.Linear(denoiser.network.embedding_width, prod(space)) if asked else None

    def forward(self, x_s: Tensor, beside: Tensor, vector: Tensor | None) -> Tensor:
        """x_s (B, C, *space); beside (B, C + 1, *space); vector (B, width) -> (B, *grid)."""
        shown = [x_s, beside]
        if self.asked is not None:
            shown.append(self.asked(vector).unflatten(1, (1, *self.space)))
        judged: Tensor = self.network(torch.cat(shown, dim=1))
        return judged


class AdversarialLoss(Loss):
    """Of the critic and of the generator, each minimising its own part:

        critic      E softplus(-D(x_s)) + E softplus(D(x_s')) + gamma / 2 E|∇ D(x_s)|^2
        generator   E softplus(-D(x_s'))

    x_s ~ q(x_s | x_t, x0) of real x0 and x_s' ~ q(x_s | x_t, x0') of x0' = G(x_t, t, z), one level s = t - 1/T below t, so
    that the critic compares p(x_s | x_t): Xiao et al. 2022 (Denoising Diffusion GANs), eq. 4 to 6. The gradient's penalty
    is R1 of Mescheder et al. 2018, eq. 9. With one level, x_s is clean, x_t shows nothing, and this is the plain
    adversarial network of Goodfellow et al. 2014 with a generator that does not saturate.

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
        self.critic = Critic(denoiser, widths)

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
        beside, vector = self._beside(x_t, t), self._asked(cond, len(x0))
        frozen = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        fooled = mean_per_sample(softplus(-functional_call(self.critic, frozen, (fake, beside, vector))))
        caught = mean_per_sample(softplus(self.critic(fake.detach(), beside, vector)))
        missed, penalty = self._of_real(real, beside, vector)
        return Losses(fooled + missed + caught + self.gamma / 2 * penalty, mean_per_sample((made.detach() - x0) ** 2))

    def _of_real(self, real: Tensor, beside: Tensor, vector: Tensor | None) -> tuple[Tensor, Tensor]:
        """What the critic loses on real samples, and |∇ D|^2 there, (B,) each."""
        if not (self.gamma and torch.is_grad_enabled()):
            judged = self.critic(real, beside, vector)
            return mean_per_sample(softplus(-judged)), torch.zeros_like(judged.flatten(1)[:, 0])
        at = real.detach().requires_grad_()
        judged = self.critic(at, beside, vector)
        (slope,) = torch.autograd.grad(judged.flatten(1).mean(1).sum(), at, create_graph=True)
        return mean_per_sample(softplus(-judged)), (slope**2).flatten(1).sum(1)

    def _below(self, x_t: Tensor, x0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """A draw of q(x_s | x_t, x0), at the scale that networks are made for."""
        process, s = self.denoiser.process, (t - 1 / self.denoiser.levels).clamp_min(0)
        mean, std = process.posterior(x_t, x0, t, s)
        alpha_s, sigma_s = process.scales(s, x0)
        return (mean + std * noise.to(x0)) / torch.hypot(alpha_s * self.denoiser.sigma_data, sigma_s)

    def _beside(self, x_t: Tensor, t: Tensor) -> Tensor:
        level = expand(noise_level("edm", self.denoiser.process.schedule, t), x_t).to(x_t).expand_as(x_t[:, :1])
        return torch.cat([visible(self.denoiser, x_t, t), level], dim=1)

    def _asked(self, cond: Cond | None, count: int) -> Tensor | None:
        """The sum of the conditions' vectors, which are the generator's to learn."""
        vectors = [one.vector.detach() for one in self.denoiser.embedded(cond, count).values()]
        return torch.stack(vectors).sum(0) if vectors else None
