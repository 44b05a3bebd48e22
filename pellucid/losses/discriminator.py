"""A network that tells real patches from decoded ones."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu

from pellucid.codecs.autoencoder import Encoder
from pellucid.core.shapes import mean_per_sample
from pellucid.networks.grid import pad

WIDTHS = (32, 64)


class PatchDiscriminator(nn.Module):
    """How real each patch of 2^levels positions an axis looks, above 0 or below: (B, C, *space) -> (B, *grid).

    Isola et al. 2017 (pix2pix), section 3.2.2, with the hinge loss of Lim and Ye 2017.

    Arguments:
        shape: (C, *space).
        widths: of its levels, finest first.
    """

    def __init__(self, shape: tuple[int, ...], widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        channels, *space = shape
        fold = tuple(2 if n > 1 else 1 for n in space)
        self.stride = tuple(n ** len(widths) for n in fold)
        self.network = Encoder(channels, 1, fold, widths, blocks=1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.network(pad(x.movedim(1, -1), self.stride)).squeeze(-1)
        return y

    def hinge(self, x0: Tensor, rebuilt: Tensor) -> Tensor:
        """What it minimises itself, of each sample: (relu(1 - D(x)) + relu(1 + D(x̂))) / 2. x̂ gets no gradient."""
        return (mean_per_sample(relu(1 - self(x0))) + mean_per_sample(relu(1 + self(rebuilt.detach())))) / 2

    def betrayed(self, rebuilt: Tensor) -> Tensor:
        """-D(x̂) of each sample, which a decoder minimises. The discriminator gets no gradient."""
        frozen = {name: parameter.detach() for name, parameter in self.named_parameters()}
        return -mean_per_sample(functional_call(self, frozen, (rebuilt,)))


def balance(wanted: Tensor, given: Tensor, last: Tensor) -> Tensor:
    """|∇ wanted| / (|∇ given| + 1e-4) by the decoder's last weights: makes the two losses pull equally hard.

    Esser et al. 2021 (VQGAN), eq. 7, clamped to 10^4 as in their training. One number, of the sums over the samples given.
    """
    norms = [torch.autograd.grad(loss.sum(), last, retain_graph=True)[0].norm() for loss in (wanted, given)]
    found: Tensor = norms[0] / (norms[1] + 1e-4)
    return found.clamp(max=1e4).detach()
