"""Pairs of texts as files that training reads."""

import json
from collections.abc import Sequence
from pathlib import Path

from pellucid.known.debian_texts import thirds

Pair = tuple[str, str]


def write_pairs(folder: Path, name: str, pairs: Sequence[Pair], every: int) -> None:
    """A file of JSON lines in each of train, validation and test."""
    lines = [json.dumps({"source": source, "target": target}, ensure_ascii=False) for source, target in pairs]
    for part, rows in thirds(lines, every):
        (folder / part).mkdir()
        (folder / part / f"{name}.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")
