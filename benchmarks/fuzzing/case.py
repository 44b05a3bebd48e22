"""A case: bytes, and how the name ends under which a reader gets them; and the contract of a reader."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class Case:
    """What is read.

    Attributes:
        suffix: of the file's name.
        data: its bytes.
    """

    suffix: str
    data: bytes


class Reader(ABC):
    """One border of the package at which bytes from outside come in.

    Class attributes:
        words: tokens of its formats, which mutations put in.
        writes: whether the user names the places that it writes to, so that a write elsewhere is refused, not a finding.
    """

    words: Sequence[bytes] = ()
    writes: bool = False

    @abstractmethod
    def seeds(self, folder: Path) -> list[Case]:
        """Sound cases of every kind; files may be made in `folder` on the way."""

    @abstractmethod
    def read(self, case: Case, folder: Path) -> str:
        """Read a case and say in a word or two what came of it: "read", or an exit code or status.

        Raises:
            UserError: it was refused, which is as good.
            FindingError: what came of it is wrong, though nothing was raised.
        """

    def made(self, rng: Random) -> Case | None:  # noqa: ARG002
        """A case that is made from nothing; None where there are only mutations."""
        return None

    def deeper(self, case: Case, rng: Random) -> Case | None:  # noqa: ARG002
        """A mutation that knows the format, so that what stands behind checksums and packing is reached; None: none."""
        return None


class FindingError(Exception):
    """What must not happen, in words."""
