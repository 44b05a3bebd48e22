"""What the report says of the data: examples, figures, labels as bars, and what was not read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pellucid.evaluation.gallery import picture_of
from pellucid.evaluation.history import number
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.summary_table import summary_table
from pellucid.evaluation.wording import figure, size

LABELS = 24
"""Labels that get a bar, the most frequent ones."""
APART = (
    "labels", "unlabelled", "captioned", "captions", "notes", "files", "bytes", "rejected", "reasons", "examples"
)  # fmt: skip
"""What is not told as it is."""


def data_section(facts: Mapping[str, Any], picture: Path) -> list[Markup]:
    """From the `data` of a run's summary (see `contents`), whatever of it is there, and a picture of examples."""
    blocks = [
        tag("div", picture_of(picture, caption="Examples, spread over the data"), class_="hero")
        if picture.is_file() else None,
        summary_table({key: value for key, value in facts.items() if key not in APART} | dict(_reading(facts))),
        _bars(_counts(facts.get("labels")), number(facts.get("unlabelled"))),
        _rejected(facts),
    ]  # fmt: skip
    return [block for block in blocks if block]


def _reading(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Rows about the source files."""
    rows, octets = [], number(facts.get("bytes"))
    notes = _counts(facts.get("notes"))
    if notes:
        told = (note if count == 1 else f"{note} ({figure(count)} files)" for note, count in notes.items())
        rows.append(("as read", "; ".join(told)))
    captions = facts.get("captions")
    if isinstance(captions, list) and captions:
        count = figure(number(facts.get("captioned")))
        rows.append(("captions", f"of {count} samples, such as: {'; '.join(map(str, captions))}"))
    if octets >= 0:
        rows.append(("source files", f"{figure(number(facts.get('files')))}, together {size(int(octets))}"))
    return rows


def _bars(labels: Mapping[str, float], unlabelled: float) -> Markup | None:
    """How many samples each label has, as lengths, the longest filling the width."""
    if not labels:
        return None
    kept = set(sorted(labels, key=lambda name: -labels[name])[:LABELS])
    rows = {name: count for name, count in labels.items() if name in kept}
    rows |= {"without a label": unlabelled} if unlabelled > 0 else {}
    longest = max(rows.values()) or 1
    bars = [
        tag(
            "div",
            tag("span", name, class_="name"),
            tag("span", tag("span", style=f"width:{100 * count / longest:.1f}%"), class_="track"),
            tag("span", figure(count), class_="count"),
        )
        for name, count in rows.items()
    ]
    rest = [count for name, count in labels.items() if name not in kept]
    more = f"and {figure(len(rest))} more labels with {figure(min(rest))} to {figure(max(rest))} samples" if rest else None
    note = tag("p", more, class_="note") if more else None
    return tag("div", tag("h3", "Samples of each label"), *bars, note, class_="bars")


def _rejected(facts: Mapping[str, Any]) -> Markup | None:
    """How many files were not read, for which reasons, and the first of them by name."""
    if not number(facts.get("rejected")) > 0:
        return None
    reasons = (tag("li", f"{figure(count)} × {reason}") for reason, count in _counts(facts.get("reasons")).items())
    pairs = facts.get("examples")
    named = [pair for pair in pairs if isinstance(pair, list) and len(pair) == 2] if isinstance(pairs, list) else []
    told = "For example: " + "; ".join(f"{name} ({reason})" for name, reason in named)
    title = tag("h3", f"Not read: {figure(number(facts['rejected']))}")
    return tag("div", title, tag("ul", *reasons), tag("p", told, class_="note") if named else None)


def _counts(value: object) -> dict[str, float]:
    """The numbers in a JSON mapping."""
    found = {str(key): number(count) for key, count in value.items()} if isinstance(value, dict) else {}
    return {key: count for key, count in found.items() if count >= 0}
