"""Features of DINOv2: the class token of a vision transformer that learned from pictures alone.

Oquab et al. 2024, "DINOv2: learning robust visual features without supervision"; as features for judging generators Stein et
al. 2023, "Exposing flaws of generative model evaluation metrics and their unfair treatment of diffusion models", who found
them to agree with people better than Inception's. As there, pictures are resized to 224 x 224 by antialiased bicubic
interpolation and normalised with ImageNet's mean and deviation; grey ones become RGB.

The weights are the user's: a folder in the layout of transformers (config.json, model.safetensors). Nothing is downloaded.
"""

from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, ModelError, UnsupportedError
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.rgb import resized_rgb
from pellucid.evaluation.source import Source

SIDE = 224
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Dinov2Features(FeatureNetwork):
    """Pictures (B, 1 or 3, H, W) in [-1, 1] to features (B, F), F = 384, 768, 1024 or 1536 by the model's size."""

    batch: ClassVar[int] = 32

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def load(cls, source: Source | None = None, weights: Path | None = None) -> Self:  # noqa: ARG003
        if weights is None:
            raise ConfigError("The features 'dinov2' need a model: give --weights FOLDER, in the layout of transformers")
        try:
            from transformers import Dinov2Model
        except ImportError:
            raise UnsupportedError("The features 'dinov2' need transformers: pip install 'pellucid[pretrained]'") from None
        try:
            model = Dinov2Model.from_pretrained(str(weights), local_files_only=True, use_safetensors=True)  # nosec B615
        except (OSError, ValueError, RuntimeError) as error:
            reason = (str(error).splitlines() or ["unknown"])[0]
            raise ModelError(f"'{weights}' is no DINOv2 in the layout of transformers, with safetensors: {reason}") from None
        return cls(model).eval()

    def embed(self, pictures: Tensor) -> Tensor:
        x = resized_rgb(pictures, SIDE)
        mean, deviation = (torch.tensor(values)[:, None, None] for values in (MEAN, DEVIATION))
        token: Tensor = self.model(pixel_values=((x + 1) / 2 - mean) / deviation).pooler_output
        return token
