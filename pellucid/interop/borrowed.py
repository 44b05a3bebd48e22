"""A model of another library: it samples like any of ours, and stays in the files that it came in."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pellucid.core.errors import UnsupportedError
from pellucid.model.model import Model
from pellucid.model.samples import Samples

PIXELS = 2**20
"""How many are made at once, unless told: one picture of SDXL's size."""


@dataclass(eq=False)
class Borrowed(Model):
    """A model whose networks another library made. States and coefficients are float32 whatever the weights are."""

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def sample(self, n: int, *, batch: int | None = None, **settings: Any) -> Samples:
        """As `Model.sample`, in batches that suit the size of the pictures."""
        _, height, width = self.facts.shape
        return super().sample(n, batch=batch or min(64, max(1, PIXELS // (height * width))), **settings)

    def save(self, path: Path | str, *, half: bool = False) -> None:  # noqa: ARG002
        raise UnsupportedError(f"A {self.card['pipeline']} stays in the layout of diffusers and is not saved as '{path}'")
