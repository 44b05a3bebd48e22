"""Which feature network judges which data."""

from pathlib import Path

import numpy as np

from pellucid.evaluation import features
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.source import Source

LEAST, EACH = 500, 20
"""Samples in all, and of the rarest class, from which a classifier learns enough."""


def choose_network(name: str, source: Source, weights: Path | None = None) -> FeatureNetwork:
    """The network of this name, or for "auto" the one that fits the data.

    Raises:
        ConfigError: an unknown name, or weights where none are taken.
        DataError: data that the network cannot judge.
    """
    network: FeatureNetwork = features[fitting(source) if name == "auto" else name].load(source, weights)
    network.view = source.modality.view
    return network


def fitting(source: Source) -> str:
    """Pinned features for a known data set, a classifier of the data's own labels if there are enough, else fixed ones; what
    suits series or texts for those.
    """
    if len(source.seen) < 3:
        return "temporal" if len(source.seen) == 2 else "grams"
    from pellucid.evaluation.fashion import NAMES, SHAPE

    if source.pack.shape == SHAPE and set(source.names) == set(NAMES):
        return "fashion"
    counts = np.array(list(source.pack.label_counts().values()))
    learnable = bool(source.names) and len(source.pack) >= LEAST and int(counts.min()) >= EACH
    return "classifier" if learnable and len(source.seen) == 3 else "fixed"
