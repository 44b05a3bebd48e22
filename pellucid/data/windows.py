"""Which sample comes when, of those in shards: shards in a keyed order, and samples shuffled within a few of them.

An epoch goes through all shards in windows of about `width`. Where a sample stands is a function of seed, epoch and place
alone, as it is of samples in a pack; only that what is read at a time are whole shards.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pellucid.data.order import order

Array = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Windows:
    """The order of samples, numbered shard by shard.

    Arguments:
        seed: of the order.
        bounds: (S + 1,) the number of the first sample of each of S shards, and the number of all.
        width: shards in a window, at most.
    """

    seed: int
    bounds: Array
    width: int

    def __call__(self, start: int, n: int) -> tuple[Array, list[int]]:
        """The samples (n,) at places start .. start + n - 1 of training, and the shards of the windows there."""
        count, found, windows = int(self.bounds[-1]), np.empty(n, dtype=np.int64), []
        epochs, places = np.divmod(np.arange(start, start + n), count)
        for epoch in np.unique(epochs).tolist():
            layout, here = self._layout(epoch), epochs == epoch
            which = np.searchsorted(layout.starts, places[here], side="right") - 1
            windows += [(epoch, window) for window in np.unique(which).tolist()]
            found[here] = self._samples(layout, epoch, which, places[here])
        return found, self._shards(windows)

    def after(self, start: int) -> list[int]:
        """The shards of the window that follows the one at a place."""
        epoch, place = divmod(start, int(self.bounds[-1]))
        layout = self._layout(epoch)
        window = int(np.searchsorted(layout.starts, place, side="right"))
        return self._shards([(epoch, window) if window < len(layout.starts) else (epoch + 1, 0)])

    def _layout(self, epoch: int) -> "_Layout":
        return _layout(self, epoch)

    def _samples(self, layout: "_Layout", epoch: int, which: Array, places: Array) -> Array:
        """Of places in one epoch, that lie in these windows."""
        shuffled, ends = places.copy(), [*layout.starts[1:], int(self.bounds[-1])]
        for window in np.unique(which).tolist():
            first, here = layout.starts[window], which == window
            step = epoch * len(layout.starts) + window
            shuffled[here] = first + order(self.seed, step, int(ends[window] - first), places[here] - first, "window")
        at = np.searchsorted(layout.ends, shuffled, side="right")
        sizes = np.diff(self.bounds)[layout.shards[at]]
        samples: Array = self.bounds[layout.shards[at]] + shuffled - (layout.ends[at] - sizes)
        return samples

    def _shards(self, windows: list[tuple[int, int]]) -> list[int]:
        """Of these windows (epoch, number), each once, in their order."""
        found = [shard for epoch, window in windows for shard in self._layout(epoch).windows[window].tolist()]
        return list(dict.fromkeys(found))


@dataclass(frozen=True)
class _Layout:
    """One epoch: its shards in their order and the place at which each ends; windows of shards and where each starts."""

    shards: Array
    ends: Array
    windows: list[Array]
    starts: Array


@lru_cache(8)
def _layout(windows: Windows, epoch: int) -> _Layout:
    sizes = np.diff(windows.bounds)
    filled = np.flatnonzero(sizes)
    shards = filled[order(windows.seed, epoch, len(filled), np.arange(len(filled)), "shards")]
    ends = np.cumsum(sizes[shards])
    parts = np.array_split(np.arange(len(shards)), -(-len(shards) // windows.width))  # of about the same number
    starts = np.array([int(ends[part[0]] - sizes[shards[part[0]]]) for part in parts])
    return _Layout(shards, ends, [shards[part] for part in parts], starts)
