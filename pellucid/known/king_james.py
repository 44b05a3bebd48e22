"""The King James Bible, as Debian's program `bible` prints it."""

import re
import subprocess
from itertools import groupby
from pathlib import Path
from shutil import which
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.known.debian_texts import thirds, write_texts
from pellucid.known.recipe import Progress, Recipe

VERSE = re.compile(r"([0-9]?[A-Za-z]+[0-9]+):[0-9]+ (.*)")
VERSES, EVERY = 31_102, 20


class KingJames(Recipe):
    """1,189 chapters, a verse a line, in three folders: of every twenty the tenth is for validation, the last for test."""

    title: ClassVar[str] = "The King James Bible: 1,189 chapters, 4.2 million letters"
    origin: ClassVar[str] = "https://packages.debian.org/bible-kjv"
    credit: ClassVar[str] = "Translated by order of King James, 1611; made readable by machines by Chip Chapin."
    licence: ClassVar[str] = "The translation is in the public domain, but in the United Kingdom, where it is the Crown's."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        program = which("bible")
        if program is None:
            raise UserError("The King James Bible is printed by the program `bible`: apt-get install bible-kjv, and repeat "
                            "this command")  # fmt: skip
        command = [program, "-l100000", "-f", "Gen1:1-Rev22:21"]
        done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        found = [VERSE.fullmatch(line) for line in done.stdout.decode("ascii", "replace").splitlines()]
        verses = [(match[1], match[2].rstrip()) for match in found if match]
        if len(verses) != VERSES:
            raise UserError(f"`bible` printed {len(verses):,} verses, expected {VERSES:,}")
        chapters = ["\n".join(text for _, text in part) for _, part in groupby(verses, key=lambda verse: verse[0])]
        for name, texts in thirds(chapters, EVERY):
            write_texts(folder / name / "king-james.txt", texts)
        progress(len(chapters), len(chapters))
