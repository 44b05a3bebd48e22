"""Where sampling starts from, if not from noise alone."""

from dataclasses import dataclass, replace

from torch import Tensor

from pellucid.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Start:
    """Data that is noised to a time on the way, from which sampling goes on. Meng et al. 2022 (SDEdit), section 3.

    Arguments:
        x0: (C, *space) for each sample, or one for all, (N, C, *space), in the modality's range.
        strength: the share of the grid's steps that are still taken, rounded to whole steps; of 1 nothing of x0 is left,
            of 0 all.
    """

    x0: Tensor
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ConfigError(f"strength = {self.strength:g} is out of range: allowed is 0, leave as it is, to 1, make anew")

    def times(self, times: Tensor) -> Tensor:
        """The end of a grid's times that is left, its last one at least."""
        return times[len(times) - 1 - round(self.strength * (len(times) - 1)) :]

    def rows(self, first: int, count: int) -> "Start":
        """Of `count` samples from the one with index `first` on."""
        return self if len(self.x0) == 1 else replace(self, x0=self.x0[first : first + count])
