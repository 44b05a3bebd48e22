"""Batches for the training of a codec."""

from dataclasses import dataclass

import torch

from pellucid.data.pack import Pack
from pellucid.modalities.modality import Modality
from pellucid.training.augmentation import Augmentation
from pellucid.training.batch import Batch
from pellucid.training.showing import Showing


@dataclass(frozen=True)
class CodecBatches:
    """`batches(start, n)` as of `Batches`: samples as they are shown, and standard normal noise of their latents' shape."""

    pack: Pack
    modality: Modality
    latent_shape: tuple[int, ...]
    seed: int
    device: torch.device
    dtype: torch.dtype
    augmentation: Augmentation

    def __call__(self, start: int, n: int) -> Batch:
        shown = Showing.at(self.pack, self.seed, start, n)
        x0 = self.modality.decode(shown.stored(self.augmentation)).to(self.device, self.dtype)
        eps = [draws.normal("codec noise", epoch, self.latent_shape) for epoch, _, draws in shown.passes]
        return Batch(x0, torch.cat(eps).to(x0), shown.ids)
