"""What Debian's packages are, at length and in a line."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.known.pairs import Pair, write_pairs
from pellucid.known.recipe import Progress, Recipe

LISTS, HELPER = Path("/var/lib/apt/lists"), Path("/usr/lib/apt/apt-helper")
WANTED = "*_main_i18n_Translation-en*"
SHORTEST, EVERY = 80, 20


class Descriptions(Recipe):
    """Tens of thousands of pairs in three folders: of every twenty the tenth is for validation, the last for test."""

    title: ClassVar[str] = "Descriptions of Debian's packages: what they are at length, and in a line"
    origin: ClassVar[str] = "https://www.debian.org/distrib/packages"
    credit: ClassVar[str] = "Written by the maintainers of Debian's packages."
    licence: ClassVar[str] = "Each description is under the terms of its package, <https://packages.debian.org>."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        files = sorted(LISTS.glob(WANTED)) if HELPER.is_file() else []
        if not files:
            raise UserError("No descriptions of packages are here: on Debian or Ubuntu, apt-get -o Acquire::Languages=en "
                            "update, and repeat this command")  # fmt: skip
        pairs = dict[str, str]()
        for file in files:
            done = subprocess.run([str(HELPER), "cat-file", str(file)], capture_output=True, check=False)
            pairs |= dict(described(done.stdout.decode("utf-8", "replace")))
        write_pairs(folder, "descriptions", sorted(pairs.items(), key=lambda pair: pair[::-1]), EVERY)
        progress(len(pairs), len(pairs))


def described(text: str) -> Iterator[Pair]:
    """The long and the short description of each package, in one paragraph each."""
    for block in re.split(r"\n{2,}", text):
        match = re.search(r"^Description-en: (.*)\n((?: .*(?:\n|$))+)", block, re.MULTILINE)
        if match:
            long = " ".join(re.sub(r"(?m)^ \.?", " ", match[2]).split())
            if len(long) >= SHORTEST:
                yield long, " ".join(match[1].split())
