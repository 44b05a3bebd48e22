"""Which samples stand at which positions of training, and how they are shown there."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pellucid.core.random import Draws, Keyed
from pellucid.data.pack import Pack
from pellucid.training.augmentation import Augmentation


@dataclass(frozen=True)
class Showing:
    """Consecutive positions (B,) of the stream and the samples `ids` (B,) there.

    `passes` are the epochs that they lie in, which positions lie in each, and the draws of the samples there.
    """

    pack: Pack
    positions: NDArray[np.int64]
    ids: NDArray[np.int64]
    passes: list[tuple[int, NDArray[np.bool_], Draws]]

    @classmethod
    def at(cls, pack: Pack, seed: int, start: int, n: int, among: NDArray[np.int64] | None = None) -> "Showing":
        """Positions start .. start + n - 1 of the stream of all samples, or of those `among` them."""
        positions, count = np.arange(start, start + n, dtype=np.int64), len(pack) if among is None else len(among)
        ids, epochs = pack.stream(seed, start, n, among), positions // count
        parts = [(int(epoch), epochs == epoch) for epoch in range(epochs[0], epochs[-1] + 1)]
        return cls(pack, positions, ids, [(epoch, here, Keyed(seed, ids[here])) for epoch, here in parts])

    def stored(self, augmentation: Augmentation) -> NDArray[np.generic]:
        """The samples, augmented anew in each pass."""
        stored = self.pack[self.ids][0]
        for epoch, here, draws in self.passes:
            stored[here] = augmentation(stored[here], draws, epoch)
        return stored
