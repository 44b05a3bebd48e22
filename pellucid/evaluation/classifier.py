"""Features of a classifier that is trained on the labelled data itself, for pictures of any size and kind.

A fifth of the data, at most 2,000 pictures, is held out: `accuracy` is the share of those it gets right, and what a perfect
generator would get as agreement. Weights, order and the pictures held out are keyed, so the same data gives the same
network up to rounding; it is kept in the cache by the hash of the data, as safetensors. Larger pictures are first reduced to
32 x 32, bilinearly with antialiasing; spectrograms of sound are not.

Figures on these features compare runs on the same data. The network has seen most of the real pictures and none of the
generated ones, so a distance leans slightly against the model; the floor, real against real, does not show that.
"""

import json
from math import cos, pi
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from pellucid.core.cache import cache_folder
from pellucid.core.errors import DataError, UserError
from pellucid.core.random import Key
from pellucid.data.order import order, stream
from pellucid.evaluation.convolutional import Convolutional
from pellucid.evaluation.network import no_weights
from pellucid.evaluation.source import Source
from pellucid.model.files import write_tensors
from pellucid.networks.initialise import initialise

VERSION = 1
SIDE = 32
SEED = 0
HELD_SHARE, HELD_MOST = 0.2, 2000
EPOCHS, STEPS_LEAST, STEPS_MOST = 4, 300, 1500
BATCH, RATE, DECAY, SMOOTHING = 64, 3e-3, 1e-2, 0.1


class ClassifierFeatures(Convolutional):
    """Pictures (B, C, H, W) in [-1, 1] to features (B, 128), class scores and classes of the data's own labels."""

    def __init__(self, channels: int, names: tuple[str, ...], *, side: int = SIDE) -> None:
        super().__init__(channels, ((32, 2), (64, 2), (128, 2)), names)
        self.side = side

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:
        """From the cache, or trained: on two cores ten seconds for 10,000 pictures, half a minute for any number."""
        no_weights(weights, "classifier")
        if source is None or not source.names:
            raise DataError(
                "The features 'classifier' are learned from labels, and the data has no two classes: take --features fixed"
            )
        network = cls(source.seen[0], source.names, side=SIDE if source.seen == source.pack.shape else max(source.seen))
        network.view = source.modality.view
        path = cache_folder() / f"classifier-{VERSION}-{source.pack.content[:32]}.safetensors"
        if not network._restore(path):
            network.accuracy = train_classifier(network, source)
            network._keep(path)
        return network.eval()

    def embed(self, pictures: Tensor) -> Tensor:
        if max(pictures.shape[2:]) > self.side:
            pictures = interpolate(pictures, (self.side, self.side), mode="bilinear", antialias=True)
        return super().embed(pictures)

    def _restore(self, path: Path) -> bool:
        try:
            with safe_open(path, "pt") as file:
                self.load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118
                self.accuracy = float(json.loads(file.metadata()["accuracy"]))
        except (OSError, SafetensorError, RuntimeError, TypeError, KeyError, ValueError):
            return False
        return True

    def _keep(self, path: Path) -> None:
        """A cache that cannot be written to costs time, nothing else."""
        try:
            write_tensors(path, self.state_dict(), {"accuracy": json.dumps(self.accuracy)})
        except UserError:
            return


def train_classifier(network: Convolutional, source: Source) -> float:
    """Train on all but the held-out pictures by AdamW; the accuracy on those is returned."""
    count = len(source.pack)
    held = max(1, min(int(HELD_SHARE * count), HELD_MOST))
    shuffled = order(SEED, 0, count, np.arange(count))
    seen = shuffled[held:]
    steps = min(max(EPOCHS * len(seen) // BATCH, STEPS_LEAST), STEPS_MOST)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)  # torch draws them
    initialise(network, Key(SEED, "classifier"))
    optimiser = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    network.train()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = RATE * (1 + cos(pi * step / steps)) / 2
        pictures, labels = _batch(source, seen[stream(SEED + 1, len(seen), step * BATCH, BATCH)])
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(cross_entropy(network(pictures), labels, label_smoothing=SMOOTHING))
        optimiser.step()
    network.eval()
    return _accuracy(network, source, np.sort(shuffled[:held]))


def _batch(source: Source, ids: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    stored, labels = source.pack[ids]
    return source.modality.view(source.modality.decode(stored)), torch.from_numpy(labels)


def _accuracy(network: Convolutional, source: Source, ids: NDArray[np.int64]) -> float:
    found = np.concatenate([network.classes(block) for block in source.blocks(ids)])
    return float((found == source.pack.labels[ids]).mean())
