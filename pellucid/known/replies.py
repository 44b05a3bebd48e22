"""What the chatbot ALICE replies, from the Python package aiml."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

from pellucid.known.installed import installed
from pellucid.known.pairs import Pair, write_pairs
from pellucid.known.recipe import Progress, Recipe

EVERY = 10
WILD = frozenset("*_")
"""Stands for any words in what is said to it."""
STOCK = 100
"""So many sayings have a stock reply in common, which tells nothing of them: 54 ways of yes, no and perhaps, by chance."""


class Replies(Recipe):
    """Sayings and the reply to each, in three folders: of every ten one is for validation and one for test.

    Those are taken whose words are all known and whose reply depends on nothing that was said before, nor is a stock reply.
    """

    title: ClassVar[str] = "Replies: 6,600 sayings, and what the chatbot A.L.I.C.E. replies to them"
    origin: ClassVar[str] = "https://pypi.org/project/aiml"
    credit: ClassVar[str] = "Richard S. Wallace and the A.L.I.C.E. AI Foundation, Free A.L.I.C.E. AIML set."
    licence: ClassVar[str] = "GNU Lesser General Public License, <https://www.gnu.org/licenses/lgpl.html>."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        place = installed("aiml", "botdata/alice/alice.aiml", "The replies").parent
        every = dict(pair for file in sorted(place.glob("*.aiml")) for pair in replies(file))
        sayings = Counter(every.values())
        found = {said: reply for said, reply in every.items() if sayings[reply] < STOCK}
        write_pairs(folder, "replies", [[pair] for pair in sorted(found.items())], EVERY)
        progress(len(found), len(found))


def replies(file: Path) -> Iterator[Pair]:
    """What a file of AIML has as plain words."""
    for category in ElementTree.parse(file).iter("category"):  # nosec B314
        said, reply = category.find("pattern"), category.find("template")
        if said is None or reply is None or category.find("that") is not None or len(said) or len(reply):
            continue
        source, target = (" ".join((part.text or "").split()) for part in (said, reply))
        if source and target and not WILD & set(source):
            yield source.lower(), target
