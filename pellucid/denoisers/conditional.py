"""A denoiser that is told what is asked for, by its conditioners."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Embedded
from pellucid.denoisers.denoiser import Cond, Denoiser


@dataclass(frozen=True)
class Told:
    """What a network is told: the sum of all vectors, all tokens side by side, and what it sees beside x_t."""

    vector: Tensor | None
    tokens: Tensor | None
    planes: list[Tensor]


class Conditional(Denoiser):
    """Entries of `cond` are embedded by the conditioners of their names; one that is not asked for is null."""

    def null(self, cond: Cond) -> Cond:
        parts = {name: self.conditioner(name) for name in cond}
        return {name: cond[name] if part.fixed else part.null(cond[name].shape[0]) for name, part in parts.items()}

    def embedded(self, cond: Cond | None, count: int) -> dict[str, Embedded]:
        """What each conditioner says."""
        for name in cond or {}:
            self.conditioner(name)
        found = {}
        for name in self.conditioners:
            conditioner = self.conditioner(name)
            found[name] = conditioner(cond[name] if cond and name in cond else conditioner.null(count))
        return found


def together(embedded: dict[str, Embedded], *vectors: Tensor) -> Told:
    """What conditioners say, and more vectors, in the form that networks take."""
    all_vectors = [*(one.vector for one in embedded.values() if one.vector is not None), *vectors]
    tokens = [one.tokens for one in embedded.values() if one.tokens is not None]
    return Told(
        vector=sum(all_vectors[1:], all_vectors[0]) if all_vectors else None,
        tokens=torch.cat(tokens, dim=1) if tokens else None,
        planes=[one.planes for one in embedded.values() if one.planes is not None],
    )
