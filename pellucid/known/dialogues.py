"""Questions and answers in English, from the Python package chatterbot-corpus."""

from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.core.optional import optional
from pellucid.known.installed import installed
from pellucid.known.pairs import write_pairs
from pellucid.known.recipe import Progress, Recipe

EVERY = 10


class Dialogues(Recipe):
    """Each saying with the reply to it, in three folders: of every ten pairs one is for validation and one for test."""

    title: ClassVar[str] = "Dialogues: sayings in English and the replies to them"
    origin: ClassVar[str] = "https://github.com/gunthercox/chatterbot-corpus"
    credit: ClassVar[str] = "Gunther Cox and contributors, ChatterBot Corpus."
    licence: ClassVar[str] = "BSD 3-Clause, <https://opensource.org/license/bsd-3-clause>: copyright Gunther Cox."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        yaml = optional("yaml", "A corpus in YAML", "text")
        place = installed("chatterbot_corpus", "data/english/conversations.yml", "The dialogues").parent
        pairs = dict[tuple[str, str], None]()
        for file in sorted(place.glob("*.yml")):
            for said in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
                turns = [" ".join(str(turn).split()) for turn in said]
                pairs |= dict.fromkeys(pair for pair in pairwise(turns) if all(pair))
        if not pairs:
            raise UserError(f"'{place}' holds no dialogues")
        write_pairs(folder, "dialogues", list(pairs), EVERY)
        progress(len(pairs), len(pairs))
