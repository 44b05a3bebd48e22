"""The loss of a variational autoencoder: what its reconstruction misses, and what its latents know."""

from math import inf

import torch
from torch import Tensor, nn

from pellucid.codecs.kl import KL
from pellucid.core.errors import ConfigError
from pellucid.core.shapes import mean_per_sample
from pellucid.losses.discriminator import PatchDiscriminator, balance
from pellucid.losses.loss import Loss, Losses


class AutoencodingLoss(Loss):
    """|x - x̂| + gradient · |∇x - ∇x̂| + kl · KL(q(z | x) || N(0, I)), x̂ decoded from z = mean + std · eps.

    The first is a mean over the values of x, the second over differences of neighbours (Mathieu et al. 2016, section 3.3, of
    power 1), the third a sum per value of x. Without the second this is `kl` times the negative evidence bound of Kingma and
    Welling 2014, eq. 3, up to a constant and per value, for data with Laplace noise of scale `kl` around x̂. The second keeps
    edges, and the mesh of cells that are decoded from one position out of what is smooth.

    With `adversarial` the decoder is also drawn to what a `PatchDiscriminator`, trained along, takes for real: that many
    times as hard as to x. The balance is struck over the samples at hand, so that the micro-batch then matters.

    Arguments:
        codec: what is trained.
        kl, gradient, adversarial: the weights.
    """

    def __init__(self, *, codec: KL, kl: float = 0.03, gradient: float = 1.0, adversarial: float = 0.0) -> None:
        super().__init__()
        for name, weight in (("kl", kl), ("gradient", gradient), ("adversarial", adversarial)):
            if not 0 <= weight < inf:
                raise ConfigError(f"autoencoding.loss.{name} = {weight:g} is out of range: allowed is 0 (off) or more")
        self.codec = codec
        self.kl = kl
        self.gradient = gradient
        self.adversarial = adversarial
        self.discriminator = PatchDiscriminator(codec.shape) if adversarial else None

    @property
    def trained(self) -> nn.Module:
        return self.codec

    def forward(self, x0: Tensor, eps: Tensor) -> Losses:
        """x0 (B, C, *space); eps, standard normal, of the latent's shape (B, C', *space')."""
        mean, log_variance = self.codec.posterior(x0)
        rebuilt = self.codec.reconstruct(mean + torch.exp(log_variance / 2) * eps.to(mean))
        missed = rebuilt - x0
        distance = mean_per_sample(missed.abs())
        axes = [axis for axis in range(2, x0.ndim) if x0.shape[axis] > 1] if self.gradient else []
        for axis in axes:
            distance = distance + self.gradient / len(axes) * mean_per_sample(missed.diff(dim=axis).abs())
        weighted = distance + self.kl * kl_divergence(mean, log_variance) / x0[0].numel()
        if self.discriminator is not None:
            betrayed = self.discriminator.betrayed(rebuilt)
            pull = self.adversarial * balance(distance, betrayed, self.codec.last)
            weighted = weighted + pull * betrayed + self.discriminator.hinge(x0, rebuilt)
        return Losses(weighted, mean_per_sample(missed.detach() ** 2))


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, I)) in nats, of each sample, (B,). Kingma and Welling 2014, appendix B."""
    return 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).flatten(1).sum(1)
