"""A model of another library: it samples and trains like any of ours, and is saved in that library's layout."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy2
from typing import Any

import torch

from pellucid.core.errors import UnsupportedError
from pellucid.core.files import atomic_folder, atomic_write
from pellucid.core.library import library
from pellucid.interop.layout import PICKLES, Layout
from pellucid.interop.lora import NAME, adapters
from pellucid.interop.pretrained import Pretrained
from pellucid.model.files import write_tensors
from pellucid.model.model import Model
from pellucid.model.samples import Samples

FOLDER = "pipeline"
"""Of a run, where what it trained is a whole pipeline."""
CARD = "card.json"
PIXELS = 2**20
"""How many are made at once, unless told: one picture of SDXL's size."""


@dataclass(eq=False)
class Borrowed(Model):
    """A model whose networks another library made. States and coefficients are float32 whatever the weights are.

    Attributes:
        layout: the folder that it came from.
    """

    layout: Layout = field(kw_only=True)

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32

    def sample(self, n: int, *, batch: int | None = None, **settings: Any) -> Samples:
        """As `Model.sample`, in batches that suit the size of the pictures."""
        _, height, width = self.facts.shape
        return super().sample(n, batch=batch or min(64, max(1, PIXELS // (height * width))), **settings)

    def save(self, path: Path | str, *, half: bool = False) -> None:  # noqa: ARG002
        """Into a folder: adapters to lora.safetensors, where the network has any; else the whole pipeline to pipeline/, its
        network as it is now and its other components as they were; and what is known of its training to card.json.

        Raises:
            UnsupportedError: `path` is to be a file.
        """
        folder = Path(path)
        if not folder.is_dir():
            kind = self.card["pipeline"]
            raise UnsupportedError(f"A {kind} stays in the layout of diffusers, and is not saved as the file '{path}'")
        assert isinstance(self.denoiser, Pretrained)
        network, source = self.denoiser.network, self.layout.folder
        with atomic_write(folder / CARD) as file:
            file.write_text(json.dumps(self.card, ensure_ascii=False), encoding="utf-8")
        if weights := adapters(network):
            write_tensors(folder / NAME, weights, {"format": "pt"})
            return
        with atomic_folder(folder / FOLDER) as temporary, library("diffusers"):
            for file in sorted(file for file in source.rglob("*") if file.is_file() and file.suffix.lower() not in PICKLES):
                place = temporary / file.relative_to(source)
                if place.relative_to(temporary).parts[0] != "unet":
                    place.parent.mkdir(parents=True, exist_ok=True)
                    copy2(file, place)
            network.save_pretrained(temporary / "unet", safe_serialization=True)
