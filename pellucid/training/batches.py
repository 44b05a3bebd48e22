"""Batches as a function of the position in training: nothing is remembered, so any of them can be made again."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.core.random import Draws, Keyed
from pellucid.data.order import stream
from pellucid.data.pack import Pack
from pellucid.losses.time import Times
from pellucid.modalities.modality import Modality
from pellucid.processes.process import Process
from pellucid.training.augmentation import Augmentation
from pellucid.training.conditions import Conditions


@dataclass(frozen=True)
class Batch:
    """x0, eps (B, C, *space); t (B,) float64; cond as the conditioners take it; ids (B,) of the samples in the pack."""

    x0: Tensor
    t: Tensor
    eps: Tensor
    cond: dict[str, Tensor]
    ids: NDArray[np.int64]

    def split(self, size: int) -> list["Batch"]:
        """Consecutive parts of at most `size` samples."""
        return [
            Batch(
                self.x0[i : i + size], self.t[i : i + size], self.eps[i : i + size],
                {name: value[i : i + size] for name, value in self.cond.items()}, self.ids[i : i + size],
            )
            for i in range(0, len(self.ids), size)
        ]  # fmt: skip


@dataclass(frozen=True)
class Batches:
    """`batches(start, n)`: what training sees at positions start .. start + n - 1 of its stream of samples.

    Augmentation, noise and conditions are keyed by (seed, sample, epoch), times by position, so neither the size of a batch
    nor the number of machines changes what a sample is trained with.
    """

    pack: Pack
    modality: Modality
    codec: Codec
    process: Process
    times: Times
    seed: int
    conditions: Conditions
    device: torch.device
    dtype: torch.dtype
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __call__(self, start: int, n: int) -> Batch:
        positions = np.arange(start, start + n, dtype=np.int64)
        ids = stream(self.seed, len(self.pack), start, n)
        stored, labels = self.pack[ids]
        epochs = positions // len(self.pack)
        parts = [(int(epoch), epochs == epoch) for epoch in range(epochs[0], epochs[-1] + 1)]
        draws: list[Draws] = [Keyed(self.seed, ids[here]) for _, here in parts]
        for (epoch, here), drawn in zip(parts, draws, strict=True):
            stored[here] = self.augmentation(stored[here], drawn, epoch)
        with torch.no_grad():
            x0 = self.codec.encode(self.modality.decode(stored).to(self.device, self.dtype))
        t = self.process.snap(self.times.draw(self.seed, positions, self.process.schedule))
        eps, conds = [], []
        for (epoch, here), drawn in zip(parts, draws, strict=True):
            eps.append(self.process.noise(drawn, "noise", epoch, x0.shape[1:], t[torch.from_numpy(here)]))
            conds.append(self.conditions(self.pack, ids[here], labels[here], drawn, epoch))
        cond = {name: torch.cat([part[name] for part in conds]) for name in conds[0]}
        return Batch(x0, t, torch.cat(eps).to(x0), cond, ids)
