"""English and Spanish verses that say the same, from two of the SWORD project's modules."""

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
    """31,000 pairs in three folders: of every twenty verses the tenth is for validation, the last for test."""

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
        pairs = [pair for pair in zip(_verses(english), _verses(spanish), strict=True) if all(pair)]
        write_pairs(folder, "verses", pairs, EVERY)
        progress(len(pairs), len(pairs))


def _verses(bible: Any) -> list[str]:
    """Of all books, in order; one that is not there is empty."""
    found = []
    for books in bible.get_structure().get_books().values():
        for book in books:
            for chapter, count in enumerate(book.chapter_lengths, 1):
                for verse in range(1, count + 1):
                    text = bible.get(books=[book.name], chapters=[chapter], verses=[verse], clean=True)
                    found.append(" ".join(text.split()))
    return found
