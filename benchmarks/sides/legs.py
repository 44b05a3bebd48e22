"""A training in several legs, each going out from the one before: OTHER+RUN on a command line."""

from pathlib import Path

from pellucid.model.files import read_model


def legs(words: str) -> list[Path]:
    """Of one training, the first first; the last has the model."""
    return [Path(word) for word in words.split("+")]


def spent(runs: list[Path]) -> tuple[float, int]:
    """Minutes of training and samples, of all together."""
    cards = [read_model(path)[2] for path in runs]
    return sum(float(card["minutes"]) for card in cards), sum(int(card["samples_seen"]) for card in cards)
