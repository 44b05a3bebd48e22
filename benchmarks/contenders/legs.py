"""A training of so many minutes' cost, in legs: what is done lies in one folder, and the next leg goes on from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic

import numpy as np
from safetensors.torch import load_file

from contenders.contender import Contender
from pellucid.core.files import atomic_write
from pellucid.model.files import write_tensors

SIDE = 28
"""Of a picture without its border."""
SAVE_MINUTES = 10.0
"""Between checkpoints of a leg."""


@dataclass(frozen=True, kw_only=True)
class Leg:
    """Training and sampling of one contender.

    Arguments:
        folder: holds `weights/MINUTES.safetensors` for each mark passed and `samples/MINUTES/` of pictures.
        seconds: cost of a sample.
        minutes: cost at the end.
        marks: costs in minutes at which the averaged weights are kept, besides the end.
    """

    contender: Contender
    folder: Path
    seconds: float
    minutes: float
    marks: Sequence[float] = ()

    @property
    def cost(self) -> float:
        """Minutes so far."""
        return self.contender.seen * self.seconds / 60

    def train(self, minutes: float = inf) -> bool:
        """Go on until the end, or for so many minutes by the clock; whether the end was reached."""
        began = saved = monotonic()
        before = self.cost

        def after() -> bool:
            nonlocal before, saved
            self._keep([mark for mark in self.marks if before < mark <= self.cost])
            before = self.cost
            stop = monotonic() - began >= 60 * minutes
            if stop or monotonic() - saved >= 60 * SAVE_MINUTES:
                self.contender.save()
                saved = monotonic()
            return stop

        self.contender.restore()
        before = self.cost
        self.contender.run(after)
        ended = self.contender.seen >= samples_for(self.minutes, self.seconds)
        if ended and not self.weights(self.minutes).is_file():
            self.contender.save()
            self._keep([self.minutes])
        return ended

    def sample(self, mark: float, n: int, batch: int, minutes: float = inf) -> int:
        """Pictures of the model at a mark, in files of `batch`; those that are there stay. Returns how many there are."""
        self.contender.load(load_file(self.weights(mark)))
        began, places = monotonic(), range(0, n, batch)
        for place in places:
            path = self.folder / "samples" / f"{mark:g}" / f"{place:06d}.npy"
            if not path.is_file():
                if monotonic() - began >= 60 * minutes:
                    return place
                drawn = self.contender.draw(min(batch, n - place), seed=place).mean(1).numpy()
                edge = (drawn.shape[-1] - SIDE) // 2 if drawn.shape[-1] > SIDE else 0
                inner = drawn[:, edge : drawn.shape[-1] - edge, edge : drawn.shape[-1] - edge]
                with atomic_write(path) as temporary:
                    np.save(temporary, np.round((inner + 1) * 127.5).astype(np.uint8))
        return n

    def weights(self, mark: float) -> Path:
        """The file of averaged weights at a mark."""
        return self.folder / "weights" / f"{mark:g}.safetensors"

    def _keep(self, marks: Sequence[float]) -> None:
        for mark in marks:
            write_tensors(self.weights(mark), self.contender.averaged(), {"seen": str(self.contender.seen)})


def samples_for(minutes: float, seconds: float) -> int:
    """How many samples this cost buys."""
    return max(1, int(60 * minutes / seconds))
