"""Poems of the Tang and the Song, from Debian's package fortunes-zh."""

from pathlib import Path
from typing import ClassVar

from pellucid.known.debian_texts import fortunes, write_texts
from pellucid.known.recipe import Progress, Recipe

FILES = {"tang300": "tang", "song100": "song"}


class ChinesePoems(Recipe):
    """A text for each poem: its title, its author, its lines; in two folders, which are labels."""

    title: ClassVar[str] = "Chinese poems: 300 of the Tang and 100 of the Song dynasty"
    origin: ClassVar[str] = "https://packages.debian.org/fortunes-zh"
    credit: ClassVar[str] = "Collected by Yu Guanghui, Mo Zhou and xiao sheng wen for Debian's package fortunes-zh."
    licence: ClassVar[str] = (
        "The poems are in the public domain; the collection is under the GNU General Public License, version 3 or later, "
        "<https://www.gnu.org/licenses/gpl-3.0.html>."
    )

    def write(self, folder: Path, progress: Progress) -> None:
        done = 0
        for name, poems in fortunes(tuple(FILES), "fortunes-zh"):
            write_texts(folder / FILES[name] / f"{FILES[name]}.txt", poems)
            done += len(poems)
            progress(done, done)
