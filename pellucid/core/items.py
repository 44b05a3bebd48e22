"""What reading a data set yields: one item per sample, one rejection per file that could not be read."""

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Item:
    """One sample as stored: `data` is (C, *space) in the modality's storage type (uint8 for pictures).

    `source` names where it came from, relative to the data set ("coats/17.png" or "images.npy#17"); `label` is the
    class name or None; of several `captions`, each without line breaks, one is as good as another.
    """

    source: str
    data: NDArray[Any]
    label: str | None = None
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A file that was skipped, and why, in words for the user."""

    source: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Origin:
    """One source file as it was read: its path relative to the data set, size in bytes and SHA-256.

    `notes` are sentences for the user about choices made while reading ("transparency laid on white").
    """

    source: str
    size: int
    sha256: str
    notes: tuple[str, ...] = ()
    details: dict[str, Any] = field(default_factory=dict)


Record = Item | Rejection | Origin
