"""The real data that samples are compared with: a pack, and how its samples are decoded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import DataError
from pellucid.data.order import order
from pellucid.data.pack import Pack, is_pack
from pellucid.data.write import write_pack
from pellucid.modalities.modality import Modality
from pellucid.model.model import Model

BLOCK = 500
LEAST = 20


@dataclass(frozen=True)
class Source:
    """Packed samples of one modality; the pack stays in its files, what is asked for is read."""

    pack: Pack
    modality: Modality

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, if every sample has one and there are two or more."""
        names = self.pack.label_names
        return names if len(names) > 1 and int(np.asarray(self.pack.labels).min()) >= 0 else ()

    @cached_property
    def seen(self) -> tuple[int, ...]:
        """The shape of what feature networks are shown of a sample."""
        return tuple(self.modality.view(self.modality.decode(self.pack[np.arange(1)][0])).shape[1:])

    @cached_property
    def whole(self) -> NDArray[np.int64]:
        """The ids of samples without missing values."""
        ids = np.arange(len(self.pack))
        if not self.pack.missing:
            return ids
        parts = (np.isfinite(self.pack[part][0]).reshape(len(part), -1).all(1) for part in np.split(ids, ids[BLOCK::BLOCK]))
        return np.asarray(ids[np.concatenate(list(parts))])

    def choose(self, n: int, seed: int) -> NDArray[np.int64]:
        """(min(n, N),) ids of whole samples drawn by key without replacement, in rising order."""
        count = len(self.whole)
        chosen: NDArray[np.int64] = np.sort(self.whole[order(seed, 0, count, np.arange(min(n, count)))])
        return chosen

    def labels(self, ids: NDArray[np.int64]) -> list[str]:
        """The class of each."""
        return [self.pack.label_names[label] for label in self.pack.labels[ids]]

    def proportional(self, n: int) -> list[str]:
        """`n` class names, each as often as in the data to within one."""
        places = (np.arange(n) + 0.5) * len(self.pack) / n
        return [self.pack.label_names[label] for label in np.sort(self.pack.labels)[places.astype(np.int64)]]

    def described(self, n: int, seed: int) -> tuple[NDArray[np.int64], list[str]]:
        """`n` samples drawn by key, all of them once before any twice, and a caption of each, empty where there is none."""
        ids = np.resize(self.choose(n, seed), n)
        return ids, [(*self.pack.captions(sample), "")[0] for sample in ids.tolist()]

    def blocks(self, ids: NDArray[np.int64], size: int = BLOCK) -> Iterator[Tensor]:
        """The samples of these ids in the model's range, some at a time."""
        for start in range(0, len(ids), size):
            yield self.modality.decode(self.pack[ids[start : start + size]][0])


@contextmanager
def opened(data: Path | str | Pack, model: Model) -> Iterator[Source]:
    """Data as the model knows it; what is no pack yet is packed into a temporary folder while the block lasts.

    Raises:
        DataError: nothing readable, another shape than the model's, or too few samples.
    """
    with TemporaryDirectory(prefix="pellucid-") as temporary:
        if isinstance(data, Pack):
            pack = data
        elif is_pack(Path(data)):
            pack = Pack.open(data)
        else:
            channels, *size = model.facts.shape
            records = model.modality.read(Path(data), size=tuple(size), channels=channels)
            pack = write_pack(records, Path(temporary) / "data")
        where = f"'{pack.folder if isinstance(data, Pack) else data}'"
        if pack.shape != model.facts.shape:
            raise DataError(f"{where} holds samples of shape {pack.shape}; the model makes {model.facts.shape}")
        source = Source(pack, model.modality)
        if len(source.whole) < LEAST:
            what = f"{len(source.whole)} samples" + (" without missing values" if pack.missing else "")
            raise DataError(f"{where} holds {what}; comparing distributions takes at least {LEAST}")
        yield source
