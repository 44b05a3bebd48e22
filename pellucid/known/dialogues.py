"""Questions and answers in English, from the Python package chatterbot-corpus."""

from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from pellucid.core.errors import UserError
from pellucid.core.optional import optional
from pellucid.known.installed import installed
from pellucid.known.pairs import Pair, write_pairs
from pellucid.known.recipe import Progress, Recipe

EVERY = 10


class Dialogues(Recipe):
    """Each saying with the reply to it, in three folders: of every ten dialogues one is for validation, one for test."""

    title: ClassVar[str] = "Dialogues: sayings in English and the replies to them"
    origin: ClassVar[str] = "https://github.com/gunthercox/chatterbot-corpus"
    credit: ClassVar[str] = "Gunther Cox and contributors, ChatterBot Corpus."
    licence: ClassVar[str] = "BSD 3-Clause, <https://opensource.org/license/bsd-3-clause>: copyright Gunther Cox."
    part: ClassVar[str] = "train"

    def write(self, folder: Path, progress: Progress) -> None:
        yaml = optional("yaml", "A corpus in YAML", "text")
        place = installed("chatterbot_corpus", "data/english/conversations.yml", "The dialogues").parent
        dialogues, known = list[list[Pair]](), set[Pair]()
        for file in sorted(place.glob("*.yml")):
            for said in yaml.safe_load(file.read_text(encoding="utf-8"))["conversations"]:
                turns = [" ".join(str(turn).split()) for turn in said]
                new = [pair for pair in dict.fromkeys(pairwise(turns)) if all(pair) and pair not in known]
                known.update(new)
                dialogues += [new] if new else []
        if not dialogues:
            raise UserError(f"'{place}' holds no dialogues")
        write_pairs(folder, "dialogues", dialogues, EVERY)
        progress(len(known), len(known))
