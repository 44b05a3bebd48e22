"""English and Spanish verses that say the same, from two of the SWORD project's modules."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from pellucid.core.errors import UserError
from pellucid.core.optional import optional
from pellucid.known.pairs import write_pairs
from pellucid.known.recipe import Progress, Recipe

SWORD = Path("/usr/share/sword")
ENGLISH, SPANISH = "engKJV2006eb", "spaRV1909eb"
EVERY = 20


class Verses(Recipe):
    """31,000 pairs in three folders: of every twenty chapters the tenth is for validation, the last for test."""

    title: ClassVar[str] = "English and Spanish verses: the King James Version and the Reina-Valera of 1909, verse by verse"
    origin: ClassVar[str] = "https://packages.debian.org/sword-text-sparv"
    credit: ClassVar[str] = "Made readable by machines by eBible.org and The SWORD Project."
    licence: ClassVar[str] = "Both translations are in the public domain (the King James Version but in the United Kingdom)."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        library = optional("pysword.modules", "A SWORD module", "text")
        modules = library.SwordModules(str(SWORD))
        try:
            found = modules.parse_modules()
            english, spanish = (modules.get_bible_from_module(name) for name in (ENGLISH, SPANISH))
        except (OSError, KeyError, ValueError):
            found = {}
        if not {ENGLISH, SPANISH} <= found.keys():
            raise UserError(f"'{SWORD}' lacks the modules {ENGLISH} and {SPANISH}: apt-get install sword-text-kjv "
                            "sword-text-sparv, and repeat this command")  # fmt: skip
        both = zip(_chapters(english), _chapters(spanish), strict=True)
        chapters = [[pair for pair in zip(*pages, strict=True) if all(pair)] for pages in both]
        write_pairs(folder, "verses", chapters, EVERY)
        count = sum(map(len, chapters))
        progress(count, count)


def _chapters(bible: Any) -> Iterator[list[str]]:
    """The verses of each, through all books; one that is not there is empty."""
    for books in bible.get_structure().get_books().values():
        for book in books:
            for chapter, count in enumerate(book.chapter_lengths, 1):
                place: dict[str, Any] = {"books": [book.name], "chapters": [chapter], "clean": True}
                yield [" ".join(bible.get(verses=[verse], **place).split()) for verse in range(1, count + 1)]
