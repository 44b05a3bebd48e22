"""Pairs of texts as files that training reads."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

from pellucid.known.debian_texts import thirds

Pair = tuple[str, str]


def write_pairs(folder: Path, name: str, documents: Sequence[Iterable[Pair]], every: int) -> None:
    """A file of JSON lines in each of train, validation and test. The pairs of a document stay together: what is held back
    would else be half known.
    """
    for part, some in thirds(documents, every):
        rows = ({"source": source, "target": target} for source, target in chain.from_iterable(some))
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / part).mkdir()
        (folder / part / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
