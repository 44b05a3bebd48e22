"""Numbers as scanners store them: whole numbers, each standing for a value by one slope and one intercept; or values."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.modalities.scanned import Scanned
from pellucid.sources.refused import RefusedError

WHOLE = ("int16", "int32")
Rescale = tuple[float, float]
Limits = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A number n of a pack stands for the value slope n + intercept.

    Arguments:
        numbers: their type: int16, int32 or float32.
    """

    numbers: str
    slope: float = 1.0
    intercept: float = 0.0

    @classmethod
    def choose(cls, found: Iterable[tuple[Rescale, Limits | None]]) -> "Counts":
        """What keeps every value of scans with these slopes and intercepts, and limits of their numbers.

        The scanner's own numbers where all share a slope and an intercept; the values where they are whole; else float32.
        """
        kinds = dict.fromkeys(found)
        rescales = {rescale for rescale, _ in kinds}
        if any(limits is None for _, limits in kinds):
            return cls(numbers="float32")
        if len(rescales) == 1:
            ((slope, intercept),) = rescales
            bounds = [bound for _, limits in kinds if limits for bound in limits]
            return cls(numbers=_fitting(bounds), slope=slope, intercept=intercept)
        if all(slope.is_integer() and intercept.is_integer() for slope, intercept in rescales):
            values = [slope * bound + intercept for (slope, intercept), limits in kinds if limits for bound in limits]
            return cls(numbers=_fitting(values))
        return cls(numbers="float32")

    @property
    def whole(self) -> bool:
        """Whether they are whole numbers."""
        return self.numbers in WHOLE

    @property
    def limits(self) -> Limits:
        """The least and the most that whole numbers can be."""
        return int(np.iinfo(self.numbers).min), int(np.iinfo(self.numbers).max)

    def keeps(self, scan: Scanned) -> bool:
        """Whether the values of a scan are there to the last digit."""
        same = (scan.slope, scan.intercept) == (self.slope, self.intercept)
        whole = (self.slope, self.intercept) == (1, 0) and scan.slope.is_integer() and scan.intercept.is_integer()
        return not self.whole or (scan.limits is not None and (same or whole))

    def of(self, numbers: NDArray[Any], scan: Scanned) -> NDArray[Any]:
        """Numbers of a scan as those of the pack, float64 or their own type.

        Raises:
            RefusedError: they hold NaN or infinity.
        """
        if numbers.dtype.kind == "f" and not np.isfinite(numbers).all():
            raise RefusedError("it holds values that are no numbers")
        if (scan.slope, scan.intercept) == (self.slope, self.intercept):
            return numbers
        values = numbers.astype(np.float64) * scan.slope + scan.intercept
        return values if (self.slope, self.intercept) == (1, 0) else (values - self.intercept) / self.slope

    def stored(self, numbers: NDArray[Any]) -> NDArray[Any]:
        """Numbers in the pack's type, the nearest whole ones where it is whole.

        Raises:
            RefusedError: it has no room for them.
        """
        if not self.whole:
            return numbers.astype(np.float32)
        nearest = np.rint(numbers) if numbers.dtype.kind == "f" else numbers
        low, high = self.limits
        if nearest.min() < low or nearest.max() > high:
            raise RefusedError(f"values of {self.value(nearest.min()):g} to {self.value(nearest.max()):g}, where those of "
                               f"the others lie between {self.value(low):g} and {self.value(high):g}")  # fmt: skip
        return nearest.astype(self.numbers)

    def value(self, number: float) -> float:
        """What a number stands for."""
        return self.slope * float(number) + self.intercept

    def values(self, stored: NDArray[Any]) -> NDArray[Any]:
        """What numbers stand for: whole ones as such where slope and intercept are whole, else float32."""
        if (self.slope, self.intercept) == (1, 0):
            return stored
        values = stored.astype(np.float64) * self.slope + self.intercept
        return values.astype(np.int32 if self._is_plain else np.float32)

    @property
    def _is_plain(self) -> bool:
        return self.whole and self.slope == 1 and self.intercept.is_integer() and self.numbers == "int16"


def _fitting(bounds: Sequence[float]) -> str:
    """The smaller type of whole numbers if it has room for them, else the larger."""
    return "int16" if min(bounds) >= -(1 << 15) and max(bounds) < 1 << 15 else "int32"
