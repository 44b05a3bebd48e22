"""Times of parts of samples: some known, some each as noisy as it happens, or all alike."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pellucid.core.random import Draws
from pellucid.losses.time import Times
from pellucid.modalities.modality import Modality
from pellucid.schedules.schedule import Schedule
from pellucid.training.config import RunConfig
from pellucid.training.revealing import Revealing

KNOWN = Revealing(1.0)
FROM_LEFT = 0.5
"""Share of the pairs of source and target whose target is known up to a place, unless set otherwise."""


@dataclass(frozen=True)
class Forcing:
    """A time per frame, (B, 1, T, 1, ...), so that one model makes whole clips, goes on from given frames and rolls on.

    Chen et al. 2024 (Diffusion Forcing), algorithm 1, for half of the share: each frame has a time of its own. In the other
    half some frames are known, t = 0: a beginning, all but a stretch, or each by itself (see `Revealing`). In the rest of
    the samples all frames have the same time, as when a whole clip is drawn.

    Where samples have parts that differ in kind, a part takes the place of a frame. In five sixths of the share some of
    them, but never all, are known, and the others mostly all but noise, t being the quantile u^(1/3): what is to be drawn is
    decided there, and as soon as a third part shows, a faint one that is known teaches nothing any more.

    Arguments:
        share: of samples whose frames differ in time.
        spans: how many places each part takes; (): each place is a frame.
    """

    share: float
    spans: tuple[int, ...] = ()

    def __call__(
        self, t: Tensor, times: Times, schedule: Schedule, draws: Draws, epoch: int, shape: Sequence[int]
    ) -> Tensor:
        """For times (B,) of samples of the shape (C, T, *space)."""
        frames = len(self.spans) or shape[1]
        choice = draws.uniform("forcing", epoch, ())[:, None] / self.share
        own = times.quantile(draws.uniform("frame times", epoch, (frames,)).flatten(), schedule).reshape(-1, frames)
        if self.spans:
            known, late = _parts(draws, epoch, frames), draws.uniform("noisy", epoch, ()) ** (1 / 3)
            noisy = times.quantile(late, schedule)
        else:
            known, noisy = KNOWN(draws, epoch, (1, frames))[:, 0], t
        each = torch.where(choice < 1, own, t[:, None])
        each = torch.where(choice < (5 / 6 if self.spans else 1 / 2), torch.where(known, 0.0, noisy[:, None]), each)
        if self.spans:
            each = each.repeat_interleave(torch.tensor(self.spans), dim=1)
        return each.reshape(len(t), 1, shape[1], *[1] * (len(shape) - 2))


def _parts(draws: Draws, epoch: int, count: int) -> Tensor:
    """Which of so many are known (B, count): any number but none and all, and any of these, with equal probability."""
    number = 1 + (draws.uniform("number known", epoch, ()) * (count - 1)).long()
    ranks = draws.uniform("known parts", epoch, (count,)).argsort(1).argsort(1)
    return ranks < number[:, None]


@dataclass(frozen=True)
class Leading:
    """A time per value of the last axis, (B, 1, ..., L): 0 for the first of them, which are always given.

    The others have the sample's time, but in a share of the samples 0 up to a place that is uniform and 1 from there on: as
    one who draws them from left to right comes upon them, and as times that are alike hardly ever have them. Whatever is
    hidden, what is to be learned is the same, p(x0 | x_t).

    Arguments:
        count: of those.
        share: of samples that are known up to a place.
    """

    count: int
    share: float = 0.0

    def __call__(
        self, t: Tensor, times: Times, schedule: Schedule, draws: Draws, epoch: int, shape: Sequence[int]  # noqa: ARG002
    ) -> Tensor:
        """For times (B,) of samples of the shape (C, *space, L)."""
        choice, place = draws.uniform("left", epoch, (2,)).T[..., None]
        at, first = torch.arange(shape[-1]), self.count + (place * (shape[-1] - self.count)).long()
        each = torch.where(choice < self.share, (at >= first).to(t), torch.where(at >= self.count, t[:, None], 0.0))
        return each.reshape(-1, *[1] * (len(shape) - 1), shape[-1])


def forcing(config: RunConfig, modality: Modality) -> Forcing | Leading | None:
    """How the parts of a sample differ in time; None: they do not."""
    if modality.sourced:
        return Leading(modality.sourced, FROM_LEFT if config.loss.forcing is None else config.loss.forcing)
    share = forced_share(config, modality)
    return Forcing(share, modality.spans) if share else None


def forced_share(config: RunConfig, modality: Modality) -> float:
    """Of the samples whose frames have times of their own: as set, or as suits data that a regression diffuses as it is."""
    if modality.sourced:
        return 0.0
    if config.loss.forcing is not None:
        return config.loss.forcing
    plain = config.denoiser.get("name") == "regression" and config.codec.get("name") == "identity"
    return modality.forcing if plain else 0.0
