"""Pairs of which each source has a word of help before it: the target of the most similar other source.

    python -m sides.examples DATA OUT [--of 1]

DATA is a folder with train, validation and test; help comes from train alone, and never from the rows around a pair, where
what was written by the same hand stands.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer

Pair = tuple[str, str]
AROUND = 200
"""Rows to either side of a pair in train that cannot help it."""
BLOCK, BETWEEN, LONGEST = 512, " | ", 80
"""LONGEST: letters of an example, of which no more are shown."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Pairs with examples.")
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--of", type=int, default=1, help="how many others")
    asked = parser.parse_args()
    train = read_pairs(asked.data / "train")
    for part in ("train", "validation", "test"):
        pairs = train if part == "train" else read_pairs(asked.data / part)
        helped = with_examples(train, pairs, asked.of, own=part == "train")
        (asked.out / part).mkdir(parents=True, exist_ok=True)
        rows = [json.dumps({"source": source, "target": target}, ensure_ascii=False) for source, target in helped]
        (asked.out / part / "pairs.jsonl").write_text("\n".join([*rows, ""]), encoding="utf-8")


def read_pairs(folder: Path) -> list[Pair]:
    lines = [line for path in sorted(folder.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]
    return [(row["source"], row["target"]) for row in map(json.loads, lines)]


def with_examples(train: Sequence[Pair], pairs: Sequence[Pair], of: int, *, own: bool) -> list[Pair]:
    found = similar([source for source, _ in train], [source for source, _ in pairs], of, own=own)
    return [(BETWEEN.join([*(train[place][1][:LONGEST] for place in row), source]), target)
            for row, (source, target) in zip(found, pairs, strict=True)]  # fmt: skip


def similar(
    known: Sequence[str], asked: Sequence[str], of: int, *, own: bool, common: float = 0.1
) -> list[list[int]]:  # fmt: skip
    """The places of the most similar, best first, by the cosine of weighted counts of runs of 3 to 5 letters.

    Arguments:
        own: whether `asked` are the known ones themselves, of which those around are left out.
        common: runs that are in a larger share of the known ones do not count, which saves time.
    """
    counts = TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True, min_df=2, max_df=common, dtype=np.float32
    )
    table = csr_matrix(counts.fit_transform(known))
    found = list[list[int]]()
    for first in range(0, len(asked), BLOCK):
        close = (csr_matrix(counts.transform(asked[first : first + BLOCK])) @ table.T).toarray()
        if own:
            for row in range(len(close)):
                close[row, max(first + row - AROUND, 0) : first + row + AROUND + 1] = -1
        found += np.argsort(-close, axis=1, kind="stable")[:, :of].tolist() if of > 1 else close.argmax(1)[:, None].tolist()
    return found


if __name__ == "__main__":
    main()
