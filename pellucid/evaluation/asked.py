"""What a model is asked for when it is compared with data: classes in the data's proportion, or captions of the data."""

from dataclasses import dataclass
from typing import Self

from pellucid.evaluation.source import Source
from pellucid.model.model import Model


@dataclass(frozen=True)
class Asked:
    """For each of n samples; None where the model knows no labels, or no captions, of this data.

    Attributes:
        known: whether the model knows all classes of the data.
    """

    n: int
    labels: list[str] | None
    prompts: list[str] | None
    known: bool

    @classmethod
    def of(cls, model: Model, source: Source, n: int, seed: int) -> Self:
        """As the data has them; captions are drawn by key."""
        known = bool(source.names) and set(source.names) <= set(model.facts.labels)
        labels, prompts = source.proportional(n) if known else None, None
        if model.facts.captions and source.pack.captioned:
            drawn, prompts = source.described(n, seed)
            labels = source.labels(drawn) if known else None
        return cls(n, labels, prompts, known)

    @property
    def conditional(self) -> bool:
        """Whether anything is asked for."""
        return self.labels is not None or self.prompts is not None
