"""Is this like what the model was trained on? Held-out losses that came with the model are the measure.

    p(x) = (1 + number of held-out losses that are not below L(x)) / (1 + number of all)

with L as in `held_out`, nothing being said of labels or captions. Of data like the training data p is uniform, whatever the
model (Vovk et al. 2005, conformal prediction), so that p <= 0.01 flags one in a hundred of it. Only what is harder than
usual is flagged: what is easier, such as a blank picture, passes for data.
"""

from math import nan
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.core.items import Item
from pellucid.core.random import Keyed
from pellucid.evaluation.held_out import loss_of
from pellucid.evaluation.wording import figure
from pellucid.modalities.image import Image
from pellucid.model.model import Model

TYPICAL = "typical"
"""Of the model's card: the losses of held-out samples, rising."""
FLAGGED = 0.01
"""The p up to which a sample counts as unlike the training data; of fewer than 99 that were held out, one above them all."""
CHUNK = 64


def losses(model: Model, stored: NDArray[np.generic], seed: int = 0) -> NDArray[np.float64]:
    """L of samples as they are packed, (N,)."""
    found = []
    for first in range(0, len(stored), CHUNK):
        x = model.modality.decode(stored[first : first + CHUNK])
        x0 = model.codec.encode(x.to(model.device, model.dtype if x.is_floating_point() else None))
        found.append(loss_of(model, x0, {}, Keyed(seed, range(first, first + len(x)))).numpy())
    return np.concatenate(found) if found else np.empty(0)


def likeness(model: Model, stored: NDArray[np.generic]) -> NDArray[np.float64] | None:
    """p of samples as they are packed, (N,); None where the model was trained with nothing held out."""
    typical = np.array(model.card.get(TYPICAL, ()), dtype=np.float64)
    if not len(typical):
        return None
    above = len(typical) - np.searchsorted(typical, losses(model, stored), side="left")
    return np.asarray((1 + above) / (1 + len(typical)))


def flagged(model: Model, p: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which of them are unlike the training data."""
    return np.asarray(p <= max(FLAGGED, 1 / (1 + len(model.card[TYPICAL]))))


def picture_warning(model: Model, file: Path) -> str | None:
    """The same of a picture, brought to the model's size; nothing where it cannot be read."""
    if not model.card.get(TYPICAL) or not isinstance(model.modality, Image):
        return None
    channels, *size = model.facts.shape
    found = model.modality.read(file, size=tuple(size), channels=channels, labels=False)
    return next((warning(model, item.data[None]) for item in found if isinstance(item, Item)), None)


def warning(model: Model, stored: NDArray[np.generic]) -> str | None:
    """A sentence for people, if the picture (1, C, H, W) is unlike the training data."""
    p = likeness(model, stored)
    if p is None or not flagged(model, p).any():
        return None
    typical, own = model.card[TYPICAL], float(losses(model, stored)[0]) if len(stored) else nan
    return (
        f"the picture is unlike what the model was trained on: its loss is {figure(own)}, of {len(typical)} held-out "
        f"samples it is {figure(typical[0])} to {figure(typical[-1])}; what comes of it may be anything"
    )
