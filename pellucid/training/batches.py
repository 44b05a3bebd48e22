"""Batches as a function of the position in training: nothing is remembered, so any of them can be made again."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.data.pack import Pack
from pellucid.losses.time import Times
from pellucid.modalities.modality import Modality
from pellucid.processes.process import Process
from pellucid.training.augmentation import Augmentation
from pellucid.training.batch import Batch
from pellucid.training.conditions import Conditions
from pellucid.training.forcing import Forcing, Leading
from pellucid.training.showing import Showing


@dataclass(frozen=True)
class NoisyBatch(Batch):
    """A batch with t (B,) float64, or one per frame and broadcastable to x0; cond is as the conditioners take it, eps of the
    shape of x0.

    `noises` are those that the loss needs besides.
    """

    t: Tensor
    cond: dict[str, Tensor]
    noises: dict[str, Tensor] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[Any, ...]:
        more = (self.noises,) if self.noises else ()
        return self.x0, self.t, self.eps, self.cond, *more

    def name(self, index: int) -> str:
        return f"{super().name(index)} at t = {float(self.t[index].max()):.4g}"

    def part(self, which: slice) -> Self:
        cond, noises = ({name: value[which] for name, value in some.items()} for some in (self.cond, self.noises))
        return replace(super().part(which), t=self.t[which], cond=cond, noises=noises)


@dataclass(frozen=True)
class Batches:
    """`batches(start, n)`: what training sees at positions start .. start + n - 1 of its stream of samples.

    Augmentation, noise and conditions are keyed by (seed, sample, epoch), times by position, so neither the size of a batch
    nor the number of machines changes what a sample is trained with.

    `latents` are the same samples encoded before; without them each batch is encoded as it comes. `noises` are the names and
    shapes of what the loss needs besides. `forcing` gives parts of samples times of their own. `among` are the ids that are
    trained on, all unless given.
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
    latents: Pack | None = None
    noises: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    forcing: Forcing | Leading | None = None
    among: NDArray[np.int64] | None = None

    def __call__(self, start: int, n: int) -> NoisyBatch:
        shown = Showing.at(self.pack, self.seed, start, n, self.among)
        x0 = self._clean(shown)
        drawn, times = self.times.draw(self.seed, shown.positions, self.process.schedule), []
        eps, conds, noises, labels = [], [], [], self.pack.labels[shown.ids]
        for epoch, here, draws in shown.passes:
            t = drawn[torch.from_numpy(here)]
            if self.forcing is not None:
                t = self.forcing(t, self.times, self.process.schedule, draws, epoch, x0.shape[1:])
            times.append(self.process.snap(t))
            eps.append(self.process.noise(draws, "noise", epoch, x0.shape[1:], times[-1]))
            conds.append(self.conditions(self.pack, shown.ids[here], labels[here], x0[torch.from_numpy(here)], draws, epoch))
            noises.append({name: draws.normal(f"{name} noise", epoch, shape) for name, shape in self.noises.items()})
        cond = {name: torch.cat([part[name] for part in conds]) for name in conds[0]}
        more = {name: torch.cat([part[name] for part in noises]).to(self.device, self.dtype) for name in self.noises}
        noise = torch.cat(eps).to(self.device, self.dtype)
        return NoisyBatch(x0, noise, shown.ids, torch.cat(times), cond, more)

    def encoded(self, ids: NDArray[np.int64]) -> Tensor:
        """What is diffused of samples as they are stored, (B, C, *space)."""
        if self.latents is not None:
            return torch.from_numpy(self.latents[ids][0]).to(self.device, self.dtype)
        return self._encoded(self.pack[ids][0])

    def _clean(self, shown: Showing) -> Tensor:
        return self.encoded(shown.ids) if self.latents is not None else self._encoded(shown.stored(self.augmentation))

    def _encoded(self, stored: NDArray[np.generic]) -> Tensor:
        with torch.no_grad():
            x = self.modality.decode(stored)
            return self.codec.encode(x.to(self.device, self.dtype if x.is_floating_point() else None))
