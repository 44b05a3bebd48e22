"""What training samples are conditioned on: their labels, one of their captions, and now and then nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.given import Given
from pellucid.conditioners.reader import Reader
from pellucid.core.random import Draws
from pellucid.data.pack import Pack
from pellucid.training.revealing import Revealing

GIVEN = "given"


@dataclass(frozen=True)
class Conditions:
    """`cond` of samples in a pack, for each of the conditioners.

    Labels and captions are dropped together in a share `drop` of the samples, for guidance to lead away from nothing (Ho and
    Salimans 2022, section 3.2); where there are both, each alone in as many again, so that the other can be asked for
    without it. Parts that are given have their own way of not being there.
    """

    conditioners: Mapping[str, Conditioner] = field(default_factory=dict)
    drop: float = 0.0
    revealing: Revealing = field(default_factory=lambda: Revealing(0.0))

    def __call__(
        self, pack: Pack, ids: NDArray[np.int64], labels: NDArray[np.int64], x0: Tensor, draws: Draws, epoch: int
    ) -> dict[str, Tensor]:
        """Of the samples `ids`, x0 (B, C, *space), whose draws are keyed by them, in one pass over the data."""
        cond, none = {}, draws.uniform("drop condition", epoch, ()) < self.drop
        dropping = [name for name in self.conditioners if name != GIVEN]
        for name in dropping:
            value = self.captions(pack, ids, draws, epoch) if name == "caption" else torch.from_numpy(labels)
            dropped = none | (draws.uniform(f"drop {name}", epoch, ()) < self.drop) if len(dropping) > 1 else none
            each = dropped.reshape(-1, *[1] * (value.ndim - 1))
            cond[name] = torch.where(each, self.conditioners[name].null(len(ids)), value)
        if isinstance(self.conditioners.get(GIVEN), Given):
            cond[GIVEN] = torch.where(self.revealing(draws, epoch, x0.shape[1:]).to(x0.device), x0, torch.nan)
        return cond

    def captions(self, pack: Pack, ids: NDArray[np.int64], draws: Draws, epoch: int) -> Tensor:
        """One of the captions of each sample, as the reader takes them."""
        reader = self.conditioners["caption"]
        assert isinstance(reader, Reader)
        return reader.encode(chosen(pack, ids, draws, epoch))


def chosen(pack: Pack, ids: NDArray[np.int64], draws: Draws, epoch: int, purpose: str = "caption") -> list[str]:
    """One of the captions of each sample, another in each pass and for each purpose; none says nothing."""
    found = []
    for sample, place in zip(ids.tolist(), draws.uniform(purpose, epoch, ()).tolist(), strict=True):
        captions = pack.captions(sample)
        found.append(captions[int(place * len(captions))] if captions else "")
    return found
