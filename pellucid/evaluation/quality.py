"""How good generated samples are: every metric on features, and whether the asked class can be recognised."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError, nearest
from pellucid.evaluation.network import FeatureNetwork
from pellucid.metrics import metrics, shares
from pellucid.metrics.result import Result

Features = NDArray[np.float64]
WIDE = 512
"""Features beyond which each covariance costs seconds, so that the interval comes from fewer resamples."""


def quality(
    generated: Features,
    real: Features,
    network: FeatureNetwork,
    *,
    asked: Sequence[str] | None = None,
    truth: Sequence[str] | None = None,
    seed: int = 0,
) -> dict[str, Result]:
    """Each metric between features `generated` (M, F) and `real` (N, F) that `network` made, by the metric's name.

    Arguments:
        asked: M class names that were asked for; adds "agreement", the share that the network recognises.
        truth: N class names of the real samples; where the network does not know its accuracy, that on them is the floor
            of "agreement".
        seed: of resamples and of the split for the floor.

    Raises:
        DataError: a name that the network does not know.
    """
    settings = {"seed": seed, "resamples": 100 if real.shape[1] <= WIDE else 20}
    found = {name: metrics[name](**settings)(real, generated) for name in metrics}
    if asked is not None:
        floor = network.accuracy
        if floor is None and truth is not None:
            floor = float((network.recognise(real) == _numbers(truth, network.names)).mean())
        found["agreement"] = shares["agreement"](
            _numbers(asked, network.names), network.recognise(generated), floor=floor
        )  # fmt: skip
    return found


def _numbers(labels: Sequence[str], names: tuple[str, ...]) -> NDArray[np.int64]:
    try:
        return np.array([names.index(label) for label in labels])
    except ValueError:
        unknown = next(label for label in labels if label not in names)
        raise DataError(f"The feature network has no class '{unknown}': {nearest(unknown, names)}") from None


def as_event(found: dict[str, Result]) -> dict[str, dict[str, Any]]:
    """As it stands in a run's log."""
    return {name: asdict(result) for name, result in found.items()}
