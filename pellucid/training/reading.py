"""The stage in which captions are learned to be read, and the sketch is filled with what they were said of.

    RUN/reading/checkpoints, log.jsonl, tensorboard    as of any training
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from pellucid.conditioners.reader import Reader
from pellucid.core.random import Draws
from pellucid.data.pack import Pack
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.sketch import Sketch
from pellucid.losses.reading import ReadingLoss
from pellucid.model.model import Model
from pellucid.training.batch import Batch
from pellucid.training.batches import Batches
from pellucid.training.conditions import chosen
from pellucid.training.config import RunConfig
from pellucid.training.ema import averages
from pellucid.training.observer import Observer
from pellucid.training.optimiser import build_optimiser
from pellucid.training.plan import Plan
from pellucid.training.prepare import Prepared
from pellucid.training.showing import Showing
from pellucid.training.stage import train_stage
from pellucid.training.stages import reading_stage
from pellucid.training.state import TrainingState

MOST = 4096
"""Samples that a sketch knows, spread over the data."""
CHUNK = 512


@dataclass(frozen=True)
class ReadingBatches:
    """`batches(start, n)` as of `Batches`: two captions of each sample, as the reader takes them.

    In a share `noise` of those that say something a scrap of any caption follows, so that the reader learns which words to
    heed.
    """

    whole: Batches
    noise: float = 0.0

    @property
    def device(self) -> torch.device:
        return self.whole.device

    def __call__(self, start: int, n: int) -> Batch:
        shown = Showing.at(self.whole.pack, self.whole.seed, start, n)
        reader = self.whole.conditions.conditioners["caption"]
        assert isinstance(reader, Reader)

        def encoded(purpose: str) -> Tensor:
            texts = (self._texts(shown.ids[here], draws, epoch, purpose) for epoch, here, draws in shown.passes)
            return reader.encode([text for some in texts for text in some])

        return Batch(encoded("caption"), encoded("caption again"), shown.ids)

    def _texts(self, ids: NDArray[np.int64], draws: Draws, epoch: int, purpose: str) -> list[str]:
        pack, texts = self.whole.pack, chosen(self.whole.pack, ids, draws, epoch, purpose)
        if not self.noise:
            return texts
        whether, whose, where, size = draws.uniform(f"{purpose} noise", epoch, (4,)).unbind(1)
        others = chosen(pack, (whose * len(pack)).long().numpy(), draws, epoch, f"{purpose} scrap")
        noisy = (whether < self.noise).tolist()
        scraps = (scrap(*one) for one in zip(others, where.tolist(), size.tolist(), strict=True))
        return [f"{text} {some}" if text and more else text for text, some, more in zip(texts, scraps, noisy, strict=True)]


def scrap(caption: str, where: float, size: float) -> str:
    """One to three of a caption's words, or of its letters where it has no spaces; `where` and `size` lie in [0, 1).

    >>> scrap("a red hat", 0.9, 0.5), scrap("一只戴帽子的猫", 0.5, 0.5)
    ('red hat', '帽子')
    """
    words = caption.split()
    units, between = (words, " ") if len(words) > 1 else (list(caption), "")
    count = 1 + int(3 * size)
    first = int(where * max(1, len(units) - count + 1))
    return between.join(units[first : first + count])


def reads(model: Model) -> bool:
    """Whether the model is to be taught in this stage: it sketches from captions, and has not learned to read them."""
    return sketch_of(model) is not None and "reading" not in model.card


def learn_to_read(
    config: RunConfig, prepared: Prepared, model: Model, batches: Batches, stage: Path, identity: str,
    observer: Observer | None = None,
) -> None:  # fmt: skip
    """Train the model's reader of captions in the folder of its stage, fill its sketch, and enter it in the model's card.

    Raises:
        UserError, DivergenceError, InterruptedRunError: see `loop.run`.
    """
    training, reader, sketch = reading_stage(config), model.conditioners["caption"], sketch_of(model)
    assert isinstance(reader, Reader)
    assert sketch is not None
    loss = ReadingLoss(reader=reader).to(model.device, model.dtype).train().requires_grad_(True)
    plan = Plan(batch=training.batch, samples=training.samples, minutes=training.minutes)
    optimiser = build_optimiser(config.reading.optimiser, loss)
    state = TrainingState(loss, optimiser, averages(reader.state_dict(), training.ema), plan)

    def begin() -> None:
        if observer is not None:
            observer.begin(prepared, model, state)

    def finish() -> dict[str, Any]:
        reader.load_state_dict(state.averaged())
        reader.eval().zero_grad(set_to_none=True)  # it would count in the gradient's norm
        reader.settle()
        ids = batches.pack.spread(MOST)
        sketch.fill(reader.pooled(reader.null(1))[0], _said(reader, batches.pack, ids), _samples(batches, ids))
        return {"sketched": len(ids)}

    shown = ReadingBatches(batches, config.reading.noise)
    model.card["reading"] = train_stage(
        training, state, shown, stage, identity, begin=begin, finish=finish, observer=observer
    )


def sketch_of(model: Model) -> Sketch | None:
    """What the denoiser sees of captions, if it does."""
    return model.denoiser.sketch if isinstance(model.denoiser, Parametric) else None


def _said(reader: Reader, pack: Pack, ids: NDArray[np.int64]) -> Tensor:
    """The mean direction of the captions of each sample, (N, width); of those without any, that of no words."""
    captions = [pack.captions(sample) or ("",) for sample in ids.tolist()]
    flat = [caption for each in captions for caption in each]
    with torch.no_grad():
        vectors = [reader.pooled(reader.encode(flat[first : first + CHUNK])) for first in range(0, len(flat), CHUNK)]
    each = torch.split(normalize(torch.cat(vectors), dim=1), [len(some) for some in captions])
    return torch.stack([directions.mean(0) for directions in each])


def _samples(batches: Batches, ids: NDArray[np.int64]) -> Tensor:
    """What is diffused of these samples, (N, C, *space)."""
    chunks = [ids[first : first + CHUNK] for first in range(0, len(ids), CHUNK)]
    return torch.cat([batches.encoded(chunk).cpu() for chunk in chunks])
