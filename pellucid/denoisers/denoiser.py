"""What every denoiser is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from pellucid.conditioners.conditioner import Conditioner
from pellucid.core.errors import UnsupportedError, nearest
from pellucid.denoisers.posterior import Posterior
from pellucid.processes.process import Process

Cond = Mapping[str, Tensor]
"""What is asked for: name of the conditioner -> its entry for each sample of the batch."""


class Denoiser(nn.Module, ABC):
    """`denoiser(x_t, t, cond)` -> the posterior over clean data.

    Attributes:
        process: the corruption that it undoes.
        conditioners: one for each entry of `cond` that a user may ask for, by its name.
        offers: which of "mean", "sample" and "logits" its posteriors have.
        fitted: whether it takes something from data in closed form, by `fit`.
        pictures: how many things of the shape of x0 its network sees side by side, x_t among them.
    """

    offers: frozenset[str] = frozenset({"mean"})
    fitted: ClassVar[bool] = False
    pictures: ClassVar[int] = 1

    def __init__(self, process: Process, conditioners: Mapping[str, Conditioner] | None = None) -> None:
        super().__init__()
        self.process = process
        self.conditioners = nn.ModuleDict(dict(conditioners or {}))

    @property
    def sampling(self) -> dict[str, Any]:
        """Settings of sampling that suit it, by default."""
        return {}

    def fit(self, x0: Tensor) -> None:  # noqa: ARG002
        """What it takes from data in closed form, before training: samples (N, C, *space), spread over the data."""
        return

    @abstractmethod
    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:
        """x_t (B, C, *space); t (B,), a scalar, or broadcastable to x_t; cond as the conditioners take it."""

    def null(self, cond: Cond) -> Cond:
        """The same entries as `cond`, asking for nothing."""
        return dict(cond)

    def conditioner(self, name: str) -> Conditioner:
        """The conditioner of this name, refused by name if there is none."""
        if name not in self.conditioners:
            known = nearest(name, self.conditioners.keys()) if len(self.conditioners) else "it was trained without any"
            raise UnsupportedError(f"The model has no condition '{name}': {known}")
        conditioner = self.conditioners[name]
        assert isinstance(conditioner, Conditioner)
        return conditioner

    def calls(self, t: float, conditional: bool = True) -> int:  # noqa: ARG002
        """Network calls per sample that one evaluation at time t costs, with or without a condition."""
        return 1
