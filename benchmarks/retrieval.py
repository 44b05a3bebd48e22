"""A network that finds the picture of the same thing in another style, trained without any generator.

Pairs of pictures of one emoji, Noto and Twemoji, are pulled together and all others apart (Radford et al. 2021, CLIP,
section 2.3, here with pictures on both sides). It is trained on no emoji that it is asked about. Forms of one (a man, a
woman, a person; walking to the left or to the right) are one concept, found if any of them is.
"""

import re
from dataclasses import dataclass
from pathlib import Path, PurePath
from time import monotonic
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import affine_grid, avg_pool2d, cross_entropy, grid_sample, interpolate, normalize

from pellucid.core.items import Item
from pellucid.modalities.image import Image
from pellucid.model.files import write_tensors

LAYERS = ((32, 2), (64, 1), (64, 2), (128, 1), (128, 2), (192, 1), (192, 2))
TEMPERATURE = 0.1
FORMS = re.compile(r"1F468|1F469|1F9D1|-200D-2640|-200D-2642|-200D-27A1|1F1E6-200D")
BATCH = 192


def concept(code: str) -> str:
    """What the forms of one emoji have in common.

    >>> concept("1F469-200D-1F680") == concept("1F9D1-200D-1F680"), concept("1F431")
    (True, '1F431')
    """
    return FORMS.sub("", code) or "person"


class Retrieval(nn.Module):
    """Pictures (B, 3, 64, 64) to directions (B, 128)."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        channels = 3
        for width, stride in LAYERS:
            parts += [nn.Conv2d(channels, width, 3, stride, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*parts, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * channels, 128))

    def forward(self, pictures: Tensor) -> Tensor:
        return normalize(self.layers(pictures))


@dataclass(frozen=True)
class Gallery:
    """Pictures to be found, as directions (N, 128), and of which concept each is."""

    directions: Tensor
    concepts: NDArray[np.str_]

    def ranks(self, queries: Tensor, wanted: list[str]) -> NDArray[np.int64]:
        """How many concepts are nearer to each query than the wanted one: 0 is found at once."""
        names, index = np.unique(self.concepts, return_inverse=True)
        scores = torch.full((len(queries), len(names)), -1.0)
        scores.scatter_reduce_(1, torch.from_numpy(index).expand(len(queries), -1), queries @ self.directions.T, "amax")
        own = scores.gather(1, torch.from_numpy(np.searchsorted(names, wanted))[:, None])
        return np.asarray((scores > own).sum(1))


def pairs(data: Path) -> tuple[Tensor, Tensor, list[str]]:
    """Noto and Twemoji pictures (N, 3, 64, 64) in [-1, 1] of the same emoji, and their codes."""
    styles: dict[str, dict[str, NDArray[np.uint8]]] = {"noto": {}, "twemoji": {}}
    for record in Image().read(data):
        if isinstance(record, Item):
            styles[str(record.label)][PurePath(record.source).stem] = record.data
    codes = sorted(styles["noto"].keys() & styles["twemoji"].keys())
    first, second = (np.stack([styles[style][code] for code in codes]) for style in ("noto", "twemoji"))
    return Image().decode(first), Image().decode(second), codes


def train(noto: Tensor, twemoji: Tensor, codes: list[str], out: Path, *, minutes: float, seed: int = 0) -> Retrieval:
    """A network for these pairs, saved to a file."""
    torch.manual_seed(seed)
    network, start = Retrieval(), monotonic()
    optimiser = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.05)
    groups: dict[str, list[int]] = {}
    for row, code in enumerate(codes):
        groups.setdefault(concept(code), []).append(row)
    generator = np.random.default_rng(seed)
    while (done := (monotonic() - start) / (60 * minutes)) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1.0, 20 * done) * (1 - done)
        chosen = generator.permutation(len(groups))[:BATCH]
        members = list(groups.values())
        rows = [int(generator.choice(members[place])) for place in chosen]
        a, b = (network(augmented(side[rows])) for side in (noto, twemoji))
        logits = a @ b.T / TEMPERATURE
        target = torch.arange(len(rows))
        loss: Any = cross_entropy(logits, target) + cross_entropy(logits.T, target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    network.eval()
    write_tensors(out, network.state_dict(), {})
    return network


def augmented(x: Tensor) -> Tensor:
    """Moved, scaled, turned a little, with other colours, softened and with noise: what styles and generators do."""
    n = len(x)
    scale, turn = 1 + 0.2 * (torch.rand(n) - 0.5), 0.3 * (torch.rand(n) - 0.5)
    shift = 0.2 * (torch.rand(n, 2) - 0.5)
    theta = torch.stack([
        torch.stack([scale * turn.cos(), -turn.sin(), shift[:, 0]], 1),
        torch.stack([turn.sin(), scale * turn.cos(), shift[:, 1]], 1),
    ], 1)  # fmt: skip
    moved = grid_sample(1 - x, affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)
    moved = moved * (1 + 0.4 * (torch.rand(n, 3, 1, 1) - 0.5)) + 0.1 * torch.randn(n, 3, 1, 1) * moved
    soft = interpolate(avg_pool2d(moved, 2), scale_factor=2.0, mode="bilinear")
    blend = torch.rand(n, 1, 1, 1)
    return 1 - (blend * moved + (1 - blend) * soft) + 0.1 * torch.rand(n, 1, 1, 1) * torch.randn(x.shape)


@torch.inference_mode()
def directions(network: Retrieval, x: Tensor) -> Tensor:
    """(N, 128)."""
    return torch.cat([network(x[first : first + 256]) for first in range(0, len(x), 256)])
