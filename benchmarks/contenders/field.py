"""Every contender by name: a peer's recipe and ours, each on the peer's network and on ours."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from contenders.contender import Contender
from contenders.ddpm_readme import CHANNELS as GREY
from contenders.ddpm_readme import DDPMReadme, readme_unet
from contenders.diffusers_example import CHANNELS as COLOURS
from contenders.diffusers_example import DiffusersExample, example_unet
from contenders.ours import Ours, our_unet
from contenders.peer import Peer
from contenders.stepwise import Levelled, Stepwise

Source = Literal["pellucid", "diffusers", "ddpm"]
BORDER = 2
"""Black pixels around a picture where a network halves its sides three or five times."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Whose recipe trains whose network; `settings` on top of our recipe's."""

    recipe: Source
    network: Source
    settings: tuple[str, ...] = ()

    @property
    def bordered(self) -> bool:
        return self.network != "pellucid"


FIELD: dict[str, Entry] = {
    "pellucid": Entry(recipe="pellucid", network="pellucid"),
    "pellucid-adamw": Entry(recipe="pellucid", network="pellucid", settings=("optimiser.name=adamw",)),
    "pellucid-adamw-float32": Entry(
        recipe="pellucid", network="pellucid", settings=("optimiser.name=adamw", "training.precision=float32")
    ),
    "diffusers": Entry(recipe="diffusers", network="diffusers"),
    "diffusers-network": Entry(recipe="pellucid", network="diffusers"),
    "diffusers-recipe": Entry(recipe="diffusers", network="pellucid"),
    "ddpm": Entry(recipe="ddpm", network="ddpm"),
    "ddpm-network": Entry(recipe="pellucid", network="ddpm"),
    "ddpm-recipe": Entry(recipe="ddpm", network="pellucid"),
}
RECIPES: dict[Source, tuple[int, Callable[..., Peer]]] = {
    "diffusers": (COLOURS, DiffusersExample), "ddpm": (GREY, DDPMReadme),
}  # fmt: skip


def build_contender(name: str, pictures: NDArray[np.uint8], samples: int, folder: Path) -> Contender:
    """A contender at its start.

    Arguments:
        name: in `FIELD`.
        pictures: (N, 28, 28), a byte each.
        samples: how many to train on.
        folder: of its checkpoints.
    """
    entry = FIELD[name]
    if entry.bordered:
        pictures = np.pad(pictures, ((0, 0), (BORDER, BORDER), (BORDER, BORDER)))
    side = pictures.shape[-1]
    torch.manual_seed(0)  # the peers' networks take their starting weights from torch's generator
    if entry.recipe == "pellucid":
        ours = our_unet(1, side) if entry.network == "pellucid" else Levelled(_peers_network(entry.network, 1, side))
        return Ours(ours, pictures, samples, folder, entry.settings)
    channels, recipe = RECIPES[entry.recipe]
    module = our_unet(channels, side) if entry.network == "pellucid" else _peers_network(entry.network, channels, side)
    return recipe(Stepwise(module, channels), pictures, samples, folder)


def _peers_network(source: Source, channels: int, side: int) -> nn.Module:
    return example_unet(channels, side) if source == "diffusers" else readme_unet(channels)
