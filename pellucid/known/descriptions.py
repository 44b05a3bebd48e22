"""What Debian's packages are, at length and in a line."""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.known.pairs import Pair, write_pairs
from pellucid.known.recipe import Progress, Recipe

LISTS, HELPER = Path("/var/lib/apt/lists"), Path("/usr/lib/apt/apt-helper")
TEXTS, PACKAGES = "*_main_i18n_Translation-en*", "*_main_binary-*_Packages*"
SHORTEST, EVERY = 80, 20
VERSION = re.compile(r"[-.+]?\d[\d.+]*")


class Descriptions(Recipe):
    """Tens of thousands of pairs in three folders: of every twenty sources the tenth is for validation, the last for test.

    Packages that are built of one source, of whatever version, often share sentences, so they stay together.
    """

    title: ClassVar[str] = "Descriptions of Debian's packages: what they are at length, and in a line"
    origin: ClassVar[str] = "https://www.debian.org/distrib/packages"
    credit: ClassVar[str] = "Written by the maintainers of Debian's packages."
    licence: ClassVar[str] = "Each description is under the terms of its package, <https://packages.debian.org>."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        known = {name: pair for text in _lists(TEXTS) for name, pair in described(text)}
        if not known:
            raise UserError("No descriptions of packages are here: on Debian or Ubuntu, apt-get -o Acquire::Languages=en "
                            "update, and repeat this command")  # fmt: skip
        built = {name: source for text in _lists(PACKAGES) for name, source in sources(text)}
        long, families = set[str](), defaultdict[str, list[Pair]](list)
        for name, pair in sorted(known.items()):
            if pair[0] not in long:
                long.add(pair[0])
                families[VERSION.sub("", built.get(name, name))].append(pair)
        write_pairs(folder, "descriptions", [families[name] for name in sorted(families)], EVERY)
        progress(len(long), len(long))


def described(text: str) -> Iterator[tuple[str, Pair]]:
    """The name of each package, and its long and short description, in one paragraph each."""
    for block in _blocks(text):
        match = re.search(r"^Description-en: (.*)\n((?: .*(?:\n|$))+)", block, re.MULTILINE)
        name = re.search(r"^Package: (\S+)", block, re.MULTILINE)
        if match and name:
            long = " ".join(re.sub(r"(?m)^ \.?", " ", match[2]).split())
            if len(long) >= SHORTEST:
                yield name[1], (long, " ".join(match[1].split()))


def sources(text: str) -> Iterator[tuple[str, str]]:
    """The name of each package that is not its own source, and of that."""
    for block in _blocks(text):
        found = [re.search(rf"^{field}: (\S+)", block, re.MULTILINE) for field in ("Package", "Source")]
        if found[0] and found[1]:
            yield found[0][1], found[1][1]


def _lists(pattern: str) -> Iterator[str]:
    """The package lists of this name, as text."""
    for file in sorted(LISTS.glob(pattern)) if HELPER.is_file() else ():
        done = subprocess.run([str(HELPER), "cat-file", str(file)], capture_output=True, check=False)
        yield done.stdout.decode("utf-8", "replace")


def _blocks(text: str) -> list[str]:
    return re.split(r"\n{2,}", text)
