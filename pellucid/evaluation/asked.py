"""What a model is asked for when it is compared with data: classes in the data's proportion, or captions of the data."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pellucid.conditioners.known_tokens import UNKNOWN
from pellucid.evaluation.source import Source
from pellucid.model.model import Model


@dataclass(frozen=True)
class Asked:
    """For each of n samples; None where the model knows no labels, or no captions, of this data.

    Attributes:
        known: whether the model knows all classes of the data.
        given: what samples are made from (`Modality.sourced`), the rest unknown.
    """

    n: int
    labels: list[str] | None
    prompts: list[str] | None
    known: bool
    given: Tensor | None = None

    @classmethod
    def of(cls, model: Model, source: Source, n: int, seed: int) -> Self:
        """As the data has them; captions are drawn by key."""
        known = bool(source.names) and set(source.names) <= set(model.facts.labels)
        labels, prompts = source.proportional(n) if known else None, None
        if model.facts.captions and source.pack.captioned:
            drawn, prompts = source.described(n, seed)
            labels = source.labels(drawn) if known else None
        return cls(n, labels, prompts, known, given_of(model, source, n, seed))

    @property
    def conditional(self) -> bool:
        """Whether anything is asked for."""
        return self.labels is not None or self.prompts is not None or self.given is not None


def given_of(model: Model, source: Source, n: int, seed: int) -> Tensor | None:
    """The sources of `n` pairs drawn by key, as the model takes what is known."""
    sourced = model.modality.sourced
    if not sourced:
        return None
    ids = np.resize(source.choose(n, seed), n)
    pairs = torch.cat(list(source.blocks(ids)))
    return torch.where(torch.arange(pairs.shape[-1]) < sourced, pairs, UNKNOWN)
