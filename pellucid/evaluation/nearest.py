"""The nearest training samples of given ones, over a pack of any size.

Distances are root mean squares over the values of what `Modality.view` shows, so they compare across shapes. Candidates
come from products in float32, block by block over the memory-mapped pack; those kept are then measured and put in order from
their differences in float64. So distances are exact, and a neighbour can be missed only where more than `SPARE` others tie
with it to about a millionth of a sample's own square.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pellucid.evaluation.source import Source

NUMBERS = 1 << 20  # of a block's distances or values, held at a time
SPARE = 10


@dataclass(frozen=True, kw_only=True)
class Nearest:
    """Training samples near to M given ones, nearest first: ids (M, K) and distances (M, K)."""

    ids: NDArray[np.int64]
    distances: NDArray[np.float64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """d_1 / d_K, (M,): 0 for a copy; also where all K are copies."""
        first, last = self.distances[:, 0], self.distances[:, -1]
        return np.divide(first, last, out=np.zeros_like(first), where=last > 0)


def nearest(samples: Tensor, source: Source, k: int, *, own: NDArray[np.int64] | None = None) -> Nearest:
    """The `k` samples of `source` nearest to each of `samples` (M, C, *space).

    Arguments:
        own: ids (M,) of the samples themselves, if they are part of the source; they are left out.
    """
    queries = source.modality.view(samples).flatten(1).float()
    width, count = queries.shape[1], len(source.pack)
    kept = min(k + SPARE + 1, count)
    found = torch.full((len(queries), kept), torch.inf), torch.zeros(len(queries), kept, dtype=torch.int64)
    size = max(1, NUMBERS // max(width, len(queries)))
    for start, block in zip(range(0, count, size), source.blocks(np.arange(count), size), strict=True):
        rows = source.modality.view(block).flatten(1)
        whole = rows.isfinite().all(1)  # what lacks values is near to nothing
        rows = torch.where(whole[:, None], rows, 0)
        squares = rows.square().sum(1) - 2 * queries @ rows.T  # |query|² is the same for all
        squares[:, ~whole] = torch.inf
        if own is not None:
            inside = torch.from_numpy(own - start)
            mine = ((inside >= 0) & (inside < len(rows))).nonzero()[:, 0]
            squares[mine, inside[mine]] = torch.inf
        here = squares.topk(min(kept, len(rows)), largest=False)
        all_squares = torch.cat([found[0], here.values], 1)
        all_ids = torch.cat([found[1], here.indices + start], 1)
        best = all_squares.topk(kept, largest=False)
        found = best.values, all_ids.gather(1, best.indices)
    return _in_order(queries, source, found, k)


def _in_order(queries: Tensor, source: Source, found: tuple[Tensor, Tensor], k: int) -> Nearest:
    """The candidates, measured in float64."""
    squares, ids = found[0].double().numpy(), found[1].numpy()
    for row, query in enumerate(queries.double().numpy()):
        near = source.modality.view(source.modality.decode(source.pack[ids[row]][0])).flatten(1).double().numpy()
        squares[row] = np.where(np.isfinite(squares[row]), np.square(near - query).mean(1), np.inf)
    first = np.argsort(squares, axis=1, kind="stable")[:, :k]
    distances = np.sqrt(np.take_along_axis(squares, first, 1))
    return Nearest(ids=np.take_along_axis(ids, first, 1), distances=distances)
