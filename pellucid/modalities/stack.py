"""The slices of one volume that lie in files of their own: their order, and the volume once all of them have come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.scanned import Triple
from pellucid.sources.refused import RefusedError

UNEVEN = 0.1
"""Share of the usual distance by which distances between slices may differ."""


@dataclass(frozen=True)
class Slice:
    """One slice of a stack: the name of its file, its place, and its spacing as (depth, height, width)."""

    name: str
    place: float | None
    measured: bool
    spacing: Triple


@dataclass
class Stack:
    """Slices that come in any order and leave as one volume (depth, height, width), lowest place first.

    Arguments:
        names: of their files, in the order of their places.
        spacing: of the volume.
        fault: why they make no volume; "": they do.
    """

    names: tuple[str, ...]
    spacing: Triple
    fault: str = ""
    _held: dict[str, NDArray[Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, slices: Sequence[Slice]) -> "Stack":
        """From slices of one series, size and direction."""
        names = tuple(one.name for one in slices)
        spacing = slices[0].spacing
        if len(slices) < 2:
            return cls(names, spacing, "a single slice, where volumes are read (modality.volume = false reads slices)")
        places = [one.place for one in slices if one.place is not None]
        if len(places) < len(slices):
            return cls(names, spacing, "neither ImagePositionPatient nor InstanceNumber says where the slice belongs")
        order = np.argsort(places, kind="stable")
        distances = np.diff(np.array(places)[order])
        usual = float(np.median(distances))
        if distances.min() <= 0.01 * usual or usual <= 0:
            return cls(names, spacing, "its series has several slices at one place: times or echoes, not one volume")
        if np.abs(distances - usual).max() > UNEVEN * usual:
            least, most = distances.min(), distances.max()
            return cls(names, spacing, f"its series lacks slices: they are {least:.4g} to {most:.4g} apart")
        depth = round(usual, 6) if slices[0].measured else spacing[0]
        return cls(tuple(names[place] for place in order), (depth, *spacing[1:]))

    def add(self, name: str, values: NDArray[Any]) -> NDArray[Any] | None:
        """The volume, when this was the last slice."""
        self._held[name] = values
        if len(self._held) < len(self.names):
            return None
        return np.stack([self._held.pop(one) for one in self.names])

    def check(self) -> None:
        """Refuse the slices of a stack that makes no volume.

        Raises:
            RefusedError: why it makes none.
        """
        if self.fault:
            raise RefusedError(self.fault)

    def lose(self, name: str, reason: str) -> RefusedError:
        """What is to be raised for a slice that cannot be read, without which there is no volume."""
        self._held.clear()
        self.fault = f"'{name}' of its series cannot be read"
        return RefusedError(f"{reason}; the volume of its {len(self.names)} slices is left out")
