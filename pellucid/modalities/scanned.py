"""One scan as its header tells of it, and how its values are had: what files of any format have in common."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

Triple = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """Of a header nothing but this is ever known here; no word of it tells of the patient, but for `people`.

    Arguments:
        shape: (times, depth, height, width); a slice has a depth of 1.
        load: the numbers in the file, of that shape; may be called once, while the file is open.
        slope, intercept: a number n stands for the value slope n + intercept, such as Hounsfield units.
        limits: the least and the most that such numbers can be; None: they are no whole numbers.
        spacing: between the middles of voxels, (depth, height, width) in millimetres; 1 where the file says nothing.
        window: centre and width of the values to be looked at, if the file says so.
        inverted: low values are to be shown bright.
        stack: what slices of one volume have in common; None: no slice of a series. Never kept.
        place: of a slice in its stack: in millimetres along it, or a number.
        measured: whether `place` is in millimetres.
        people: what the file calls the patient, to be compared with names of folders. Never kept.
    """

    shape: tuple[int, int, int, int]
    load: Callable[[], NDArray[Any]]
    slope: float = 1.0
    intercept: float = 0.0
    limits: tuple[int, int] | None = None
    spacing: Triple = (1.0, 1.0, 1.0)
    window: tuple[float, float] | None = None
    inverted: bool = False
    stack: tuple[Any, ...] | None = None
    place: float | None = None
    measured: bool = False
    people: tuple[str, ...] = field(default=(), repr=False)
