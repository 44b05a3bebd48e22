"""What captions mean to each other: those of one sample say the same thing."""

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from pellucid.conditioners.reader import Reader
from pellucid.denoisers.sketch import TEMPERATURE
from pellucid.losses.loss import Loss, Losses


class ReadingLoss(Loss):
    """(CE(s, i) + CE(s^T, i)) / 2 with s_ij = <u_i, v_j> / 0.05, in nats

    u and v are the reader's vectors, at unit length, of two captions of each sample: van den Oord et al. 2018 (CPC), eq. 4,
    in both directions as in Radford et al. 2021 (CLIP), figure 3. It brings phrasings that training never sees near those
    that it does. Of two samples with the same caption neither counts against the other.

    Arguments:
        reader: what is trained.
    """

    def __init__(self, *, reader: Reader) -> None:
        super().__init__()
        self.reader = reader

    @property
    def trained(self) -> nn.Module:
        return self.reader

    def forward(self, first: Tensor, second: Tensor) -> Losses:
        """Two captions of each sample, (B, ...) as the reader takes them."""
        u, v = (normalize(self.reader.pooled(captions), dim=1) for captions in (first, second))
        _, number = torch.unique(torch.cat([first, second]).flatten(1), dim=0, return_inverse=True)
        same = (number[: len(first), None] == number[len(first) :]).fill_diagonal_(False)
        scores = (u @ v.T / TEMPERATURE).masked_fill(same.to(u.device), -torch.inf)
        right = torch.arange(len(u), device=u.device)
        both = cross_entropy(scores, right, reduction="none") + cross_entropy(scores.T, right, reduction="none")
        return Losses(both / 2, both.detach() / 2)
