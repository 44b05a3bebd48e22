"""A pipeline of diffusers that diffusers runs as it is: of a kind whose parts are not known here."""

from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from time import perf_counter
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from pellucid.conditioners.prompt import expand, parts
from pellucid.core.errors import ModelError, UnsupportedError
from pellucid.core.library import library
from pellucid.core.random import Key
from pellucid.core.reason import reason
from pellucid.interop.half import half_precision
from pellucid.interop.layout import INDEX, LIBRARIES, Layout
from pellucid.interop.lora import add_lora
from pellucid.interop.native import foreign_part
from pellucid.modalities.image import Image
from pellucid.model.samples import Samples

NAMES = {
    "prompt": "prompt", "negative": "negative_prompt", "steps": "num_inference_steps", "guidance": "guidance_scale",
}
"""Our words for what can be asked of a pipeline, and those of diffusers."""


class Foreign:
    """Words in, pictures out, by the rules of the pipeline: sampler, weights of words and defaults are its own.

    Arguments:
        pipeline: the one of diffusers.
    """

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.takes = set(signature(pipeline.__call__).parameters)

    @classmethod
    def claims(cls, place: Path) -> bool:
        """Whether `place` holds a pipeline that has to be run so."""
        return (place / INDEX).is_file() and foreign_part(Layout.read(place)) is not None

    @classmethod
    def load(
        cls,
        place: Path,
        device: str = "cpu",
        *,
        half: bool = False,
        low_memory: bool = False,
        lora: Mapping[Path, float] | None = None,
    ) -> Self:
        """From a folder; safetensors only, and no code that comes with it. `half`, `low_memory`, `lora` as for `load`.

        Raises:
            ModelError: diffusers cannot load it.
        """
        layout, dtype = Layout.read(place), half_precision(device) if half else torch.float32
        with library("diffusers") as diffusers:
            for part, (owner, _) in layout.parts.items():
                if owner not in LIBRARIES and not hasattr(diffusers.pipelines, owner):
                    raise ModelError(f"The component '{part}' of '{place}' is code of its own ({owner}), which is not run")
            try:
                pipeline = diffusers.DiffusionPipeline.from_pretrained(place, use_safetensors=True, local_files_only=True)
            except Exception as error:  # any that a library of many has
                raise ModelError(f"diffusers cannot load '{place}', a {layout.name}: {reason(error)}") from None
        pipeline.set_progress_bar_config(disable=True)
        add_lora(pipeline, lora or {})
        if low_memory and hasattr(pipeline, "enable_attention_slicing"):
            pipeline.enable_attention_slicing()
        return cls(pipeline.to(device, dtype))

    def generate(
        self, prompt: str, n: int = 1, *, seed: int = 0, progress: Callable[[int, int], None] | None = None, **asked: Any
    ) -> Samples:
        """`n` pictures of each of the prompt's alternatives; picture i depends on (seed, i) alone as far as the pipeline
        makes them so.

        Arguments:
            progress: called with (pictures done, pictures in all).
            asked: `negative`, `steps`, `guidance`; None leaves it to the pipeline.

        Raises:
            UnsupportedError: the pipeline takes no words, weights none, or does not take what was asked.
            ModelError: it fails.
        """
        kind = type(self.pipeline).__name__
        wanted = {"prompt": prompt} | {name: value for name, value in asked.items() if value is not None}
        for name in wanted:
            if NAMES[name] not in self.takes:
                raise UnsupportedError(f"{kind}, which diffusers runs as it is, takes no {name}")
        prompts = [one for one in expand(prompt) for _ in range(n)]
        if any(part.weight != 1 for one in prompts for part in parts(one)):
            raise UnsupportedError(f"{kind}, which diffusers runs as it is, cannot weigh words: write them without (…:1.3)")
        start, rows, made = perf_counter(), self._rows(), []
        for index, one in enumerate(prompts):
            number = int(Key(seed, "foreign").bits([index], 1)[0, 0])
            made.append(self._picture(one, torch.Generator().manual_seed(number), asked))
            if progress is not None:
                progress(index + 1, len(prompts))
        return Samples(
            data=torch.stack(made), modality=Image(), prompts=tuple(prompts), seed=seed, nfe=sum(rows) // len(prompts),
            seconds=perf_counter() - start,
        )  # fmt: skip

    def _picture(self, prompt: str, generator: torch.Generator, asked: dict[str, Any]) -> Tensor:
        """(3, H, W) in [-1, 1]."""
        settings = {NAMES[name]: value for name, value in asked.items() if value is not None}
        with library("diffusers"):
            try:
                found = self.pipeline(prompt, generator=generator, **settings)
            except Exception as error:  # any that a library of many has
                raise ModelError(f"{type(self.pipeline).__name__} failed in diffusers: {reason(error)}") from None
        if not getattr(found, "images", None):
            raise UnsupportedError(f"{type(self.pipeline).__name__} makes no pictures")
        picture = np.asarray(found.images[0].convert("RGB"))
        return Image().decode(np.moveaxis(picture, -1, 0))

    def _rows(self) -> list[int]:
        """Grows by the number of rows at each call of the network."""
        rows: list[int] = []
        network = getattr(self.pipeline, "unet", None) or getattr(self.pipeline, "transformer", None)
        if network is not None:
            network.register_forward_hook(lambda _module, _inputs, output: rows.append(len(output[0])))
        return rows
