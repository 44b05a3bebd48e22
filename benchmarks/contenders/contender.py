"""What every contender is: a network in training by some recipe, that can be stopped after any step and gone on with."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn


class Contender(ABC):
    """A training under way.

    Attributes:
        network: what is trained.
        batch: samples in a step of the optimiser.
        side: of the pictures it is shown; 28, or 32 where a border of two black pixels is around them.
    """

    network: nn.Module
    batch: int
    side: int

    @property
    @abstractmethod
    def seen(self) -> int:
        """Samples trained on so far."""

    @abstractmethod
    def run(self, after: Callable[[], bool]) -> None:
        """Train to the end, or until `after`, called after each step, returns true."""

    @abstractmethod
    def averaged(self) -> dict[str, Tensor]:
        """The weights that one samples with, a state of `network`."""

    @abstractmethod
    def draw(self, n: int, seed: int) -> Tensor:
        """Pictures (n, C, side, side) in [-1, 1] by 25 steps of DDIM, eta 0, from the network as it is."""

    @abstractmethod
    def save(self) -> Path:
        """Write a checkpoint."""

    @abstractmethod
    def restore(self) -> None:
        """Go on from the newest checkpoint, if there is one."""

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take what `averaged` gave, for sampling."""
        self.network.load_state_dict(dict(weights))
        self.network.eval().requires_grad_(False)
