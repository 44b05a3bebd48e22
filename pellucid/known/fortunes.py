"""Sayings of many kinds, from Debian's package fortunes."""

from pathlib import Path
from typing import ClassVar

from pellucid.known.debian_texts import fortunes, thirds, write_texts
from pellucid.known.recipe import Progress, Recipe

KINDS = ("definitions", "computers", "songs-poems", "science", "people", "work", "men-women", "law")
EVERY = 10


class Fortunes(Recipe):
    """A folder for each of eight kinds, within three: of every ten sayings one is for validation and one for test."""

    title: ClassVar[str] = "Fortunes: some 5,000 sayings of eight kinds"
    origin: ClassVar[str] = "https://packages.debian.org/fortunes"
    credit: ClassVar[str] = "Collected for the program fortune by Ken Arnold and many others; each saying is its author's."
    licence: ClassVar[str] = (
        "See the package's copyright file: the collection is under the BSD licence of the program; the sayings are quoted."
    )
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        done = 0
        for kind, sayings in fortunes(KINDS, "fortunes"):
            for name, texts in thirds(sayings, EVERY):
                write_texts(folder / name / kind / f"{kind}.txt", texts)
            done += len(sayings)
            progress(done, done)
