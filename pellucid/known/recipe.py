"""The contract of a known data set: what it is, whose it is, and how it becomes a folder that training reads."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from pellucid.core.files import atomic_folder

ABOUT = "README.md"
"""The file beside the data that says what it is, with licence and credit; readers of folders pass over it."""

Progress = Callable[[int, int], None]


class Recipe(ABC):
    """One known data set.

    Class attributes:
        title: what it is, in one sentence.
        origin: where it comes from, an address.
        credit: whom to cite.
        licence: its terms, in full or by name and address.
        part: the folder in it to train on, "" for all of it.
    """

    title: ClassVar[str]
    origin: ClassVar[str]
    credit: ClassVar[str]
    licence: ClassVar[str]
    part: ClassVar[str] = ""

    @abstractmethod
    def write(self, folder: Path, progress: Progress) -> None:
        """Fetch the data into an empty folder; `progress` is told how many samples of how many are written.

        Raises:
            UserError: it cannot be had: no network, a library missing; the message says what else would do.
        """

    def fetch(self, folder: Path, progress: Progress) -> None:
        """The data, and a file that says what it is, in `folder`, which is made whole or not at all.

        Raises:
            UserError: see `write`; or the folder cannot be written.
        """
        with atomic_folder(folder) as building:
            self.write(building, progress)
            parts = ("# " + self.title, f"Origin: <{self.origin}>", f"Credit: {self.credit}", "## Licence", self.licence)
            (building / ABOUT).write_text("\n\n".join(parts) + "\n", encoding="utf-8")
