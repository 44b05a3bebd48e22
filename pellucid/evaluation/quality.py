"""How good generated samples are: every metric on pinned features, and whether the asked class can be recognised."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from pellucid.core.errors import DataError, nearest
from pellucid.metrics import metrics, shares
from pellucid.metrics.result import Result


class FeatureNetwork(Protocol):
    """A pinned network that sees samples as (N, F) features and as (N,) classes, numbered as in `names`."""

    names: tuple[str, ...]

    def features(self, pictures: Tensor, /) -> NDArray[np.float64]: ...

    def classes(self, pictures: Tensor, /) -> NDArray[np.int64]: ...


def quality(
    generated: Tensor,
    real: Tensor,
    network: FeatureNetwork,
    *,
    asked: Sequence[str] | None = None,
    truth: Sequence[str] | None = None,
) -> dict[str, Result]:
    """Each distance between `generated` (M, C, *space) and `real` (N, C, *space), by the metric's name.

    Arguments:
        asked: M class names that were asked for; adds "agreement", the share that the network recognises.
        truth: N class names of the real samples; the network's accuracy on them is the floor of "agreement".

    Raises:
        DataError: a name that the network does not know; samples of another shape than the network's.
    """
    ours, theirs = network.features(generated), network.features(real)
    found = {name: metrics[name]()(theirs, ours) for name in metrics}
    if asked is not None:
        floor = None if truth is None else float((network.classes(real) == _numbers(truth, network.names)).mean())
        found["agreement"] = shares["agreement"](_numbers(asked, network.names), network.classes(generated), floor=floor)
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
