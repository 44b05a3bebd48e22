"""A network that tells real samples from made ones, and what each side loses by it."""

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import softplus

from pellucid.core.shapes import mean_per_sample
from pellucid.losses.discriminator import PatchDiscriminator

WIDTHS = (64, 128, 256)


class Critic(nn.Module):
    """D: how real each patch looks, above 0 or below, beside what is known of it.

        made real    E softplus(-D(x'))                               what a generator minimises
        told apart   E softplus(D(x')) + E softplus(-D(x)) + gamma / 2 E|∇ D(x)|^2    what the critic does

    The penalty of the gradient is R1 of Mescheder et al. 2018, eq. 9; the generator's loss that of Goodfellow et al. 2014,
    section 3, which does not saturate.

    Arguments:
        shape: (C, *space) of x.
        beside: channels of what is shown beside it.
        told: width of a vector of conditions, of which it makes a picture; 0: none.
        widths: of its levels, finest first.
    """

    def __init__(self, shape: Sequence[int], *, beside: int, told: int = 0, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels, *space = shape
        self.space = tuple(space)
        self.network = PatchDiscriminator((channels + beside + (told > 0), *space), widths)
        self.asked = nn.Linear(told, prod(space)) if told else None

    def forward(self, x: Tensor, beside: Tensor, vector: Tensor | None = None) -> Tensor:
        """x (B, C, *space); beside (B, channels, *space); vector (B, told) -> (B, *grid)."""
        shown = [x, beside]
        if self.asked is not None:
            shown.append(self.asked(vector).unflatten(1, (1, *self.space)))
        judged: Tensor = self.network(torch.cat(shown, dim=1))
        return judged

    def made_real(self, made: Tensor, beside: Tensor, vector: Tensor | None = None) -> Tensor:
        """(B,), with a gradient for `made` and none for the critic."""
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return mean_per_sample(softplus(-functional_call(self, frozen, (made, beside, vector))))

    def told_apart(
        self, real: Tensor, made: Tensor, beside: Tensor, vector: Tensor | None = None, *, gamma: float = 0.0
    ) -> Tensor:
        """(B,), with a gradient for the critic and none for `made`."""
        caught = mean_per_sample(softplus(self(made.detach(), beside, vector)))
        if not (gamma and torch.is_grad_enabled()):
            return caught + mean_per_sample(softplus(-self(real, beside, vector)))
        at = real.detach().requires_grad_()
        judged = self(at, beside, vector)
        (slope,) = torch.autograd.grad(judged.flatten(1).mean(1).sum(), at, create_graph=True)
        penalty = (slope**2).flatten(1).sum(1)
        return caught + mean_per_sample(softplus(-judged)) + gamma / 2 * penalty
