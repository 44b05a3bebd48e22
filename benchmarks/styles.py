"""Is a text that was asked for in a style recognised as of that style, by somebody else?

    styles.py RUN --data FORTUNES --out records/styles.md [-n 400] [--guidance 1 1.5 2 3] [--steps 48]

FORTUNES is as `pellucid data fetch fortunes` makes it; RUN was trained on its train. The judge is a logistic regression on
weighted counts of words and runs of letters, which knows the training texts and not the model. Texts are judged that are
as long as the model's windows.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
from resume import machine
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline, make_union

from pellucid.core.files import atomic_write
from pellucid.core.items import Item
from pellucid.modalities.text import Text
from pellucid.model.model import Model

WANTED = 0.8
"""Of the share of real texts that is recognised."""
SHOWN = 2


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure whether styles are recognised.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-n", type=int, default=400, help="texts for each guidance, all styles together")
    parser.add_argument("--guidance", type=float, nargs="+", default=[1.0, 1.5, 2.0, 3.0])
    parser.add_argument("--steps", type=int, default=None, help="of sampling; the model's own unless given")
    parser.add_argument("--out", type=Path, default=Path("records/styles.md"))
    asked = parser.parse_args()
    text = "\n".join([*_record(asked), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def _record(asked: argparse.Namespace) -> Iterator[str]:
    model, began = Model.load(asked.run), perf_counter()
    known, unknown = (windows(model, asked.data / part) for part in ("train", "test"))
    runs = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    counts = make_union(TfidfVectorizer(sublinear_tf=True), runs)
    judge = make_pipeline(counts, LogisticRegression(C=20, max_iter=300, class_weight="balanced"))
    judge.fit(*known)
    real = float((judge.predict(unknown[0]) == np.asarray(unknown[1])).mean())
    rows, texts = [], list[str]()
    for guidance in asked.guidance:
        made = model.sample(asked.n, label="all", guidance=guidance, steps=asked.steps, seed=1)
        assert isinstance(made.modality, Text)
        texts, labels = made.modality.texts(made.data), np.asarray(made.labels)
        found = judge.predict(texts)
        rows.append((guidance, float((found == labels).mean()), [float((found == labels)[labels == style].mean())
                                                                 for style in model.facts.labels]))  # fmt: skip
    best = max(rows, key=lambda row: row[1])
    fine = "yes" if best[1] >= WANTED * real else "NO"
    yield "# Styles\n"
    yield (
        f"- The asked style is recognised in {best[1]:.0%} of texts at guidance {best[0]:g}, in {real:.0%} of real ones: "
        f"{best[1] / real:.2f} times as often; at least {WANTED}: **{fine}**\n"
    )
    yield (
        f"{len(model.facts.labels)} styles, by chance {1 / len(model.facts.labels):.0%}. The judge knows {len(known[0]):,} "
        f"windows of the training texts, and is asked of {len(unknown[0]):,} of test texts. The model was trained on "
        f"{model.card['samples_seen']:,} windows in {model.card['minutes']:.0f} minutes.\n"
    )
    yield "| guidance | recognised | " + " | ".join(model.facts.labels) + " |"
    yield "|---" * (2 + len(model.facts.labels)) + "|"
    for guidance, share, each in rows:
        yield f"| {guidance:g} | {share:.0%} | " + " | ".join(f"{one:.0%}" for one in each) + " |"
    yield f"\nAt guidance {asked.guidance[-1]:g}:\n"
    for style in model.facts.labels:
        for one in np.asarray(texts, dtype=object)[labels == style][:SHOWN]:
            yield f"```text\n[{style}]\n{one}\n```\n"
    yield f"- command: in the docstring of benchmarks/styles.py\n- date: {datetime.now(UTC):%Y-%m-%d}"
    yield f"- time: {perf_counter() - began:.0f} s"
    yield from machine()


def windows(model: Model, folder: Path) -> tuple[list[str], list[str]]:
    """Texts of a folder, cut as the model sees them, and their styles."""
    text = model.modality
    assert isinstance(text, Text)
    records = [record for record in text.read(folder, size=model.facts.shape[1:]) if isinstance(record, Item)]
    stored = np.stack([record.data for record in records])
    return text.texts(text.decode(stored)), [str(record.label) for record in records]


if __name__ == "__main__":
    main()
