"""What the peers' recipes have in common here: the order of pictures, numbers that can be drawn again, checkpoints.

None of it is timed against a peer: pictures come from memory, already decoded, where its own loader would read and decode
files; and each step seeds torch's generator with its number, so that a later leg draws what an undisturbed run would have.
"""

import json
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from torch import Tensor, nn
from torch.optim import Optimizer

from contenders.contender import Contender
from pellucid.data.order import stream
from pellucid.model.files import write_tensors
from pellucid.training.slots import named_slots, restore_slots
from pellucid.training.state import checkpoints


class Peer(Contender):
    """A peer's recipe on a network.

    Arguments:
        network: answers (x, steps) with what the recipe predicts.
        pictures: (N, side, side), a byte each.
        samples: how many to train on.
        folder: where checkpoints go.
    """

    optimiser: Optimizer

    def __init__(self, network: nn.Module, pictures: NDArray[np.uint8], samples: int, folder: Path) -> None:
        self.network = network
        self.pictures = pictures
        self.side = pictures.shape[-1]
        self.samples = samples
        self.folder = folder
        self._seen = 0

    @property
    def seen(self) -> int:
        return self._seen

    @abstractmethod
    def step(self) -> None:
        """One step of the optimiser on `batch` samples."""

    @abstractmethod
    def restore_average(self, average: dict[str, Tensor], steps: int) -> None:
        """Take the averaged weights, and whatever else depends on the number of steps alone."""

    def run(self, after: Callable[[], bool]) -> None:
        self.network.train()
        while self.seen < self.samples:
            torch.manual_seed(self.seen)
            self.step()
            self._seen += self.batch
            if after():
                return

    def shown(self, part: int, size: int) -> Tensor:
        """Grey values (size, 1, side, side) in [0, 1] of a step's part."""
        ids = stream(0, len(self.pictures), self.seen + part * size, size)
        return torch.from_numpy(self.pictures[ids]).unsqueeze(1).float() / 255

    def save(self) -> Path:
        groups = {"weights": self.network.state_dict(), "average": self.averaged(), "optimiser": named_slots(self.optimiser)}
        tensors = {f"{group}.{name}": value for group, values in groups.items() for name, value in values.items()}
        path = self.folder / f"{self.seen:012d}.safetensors"
        write_tensors(path, tensors, {"seen": json.dumps(self.seen)})
        for old in checkpoints(self.folder)[:-1]:
            old.unlink()
        return path

    def restore(self) -> None:
        for path in checkpoints(self.folder)[-1:]:
            with safe_open(path, framework="pt") as file:
                self._seen = json.loads(file.metadata()["seen"])
                groups: dict[str, dict[str, Tensor]] = {"weights": {}, "average": {}, "optimiser": {}}
                for name in file.keys():  # noqa: SIM118
                    group, _, rest = name.partition(".")
                    groups[group][rest] = file.get_tensor(name)
            self.network.load_state_dict(groups["weights"])
            restore_slots(self.optimiser, groups["optimiser"])
            self.restore_average(groups["average"], self.seen // self.batch)
