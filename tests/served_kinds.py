"""Small models of every kind of data but pictures, by random weights, for tests of what clients see."""

from dataclasses import asdict
from typing import Any

from pellucid.modalities import modalities
from pellucid.model.config import Facts
from pellucid.model.model import Model
from served import random_model

TRANSFORMER = {"name": "transformer", "patch": 1, "width": 16, "depth": 1, "heads": 1}
SHAPES: dict[str, tuple[int, ...]] = {"sound": (1, 2048), "video": (3, 3, 8, 8), "scan": (1, 4, 8, 8), "text": (1, 12)}
CONFIG: dict[str, dict[str, Any]] = {
    "sound": {"codec": {"name": "loudness", "window": 64, "hop": 16}},
    "video": {"network": {"name": "unet", "channels": [8, 8], "blocks": 1, "factorised": True}},
    "text": {"network": TRANSFORMER, "process": {"name": "masked"}, "denoiser": {"name": "categorical"}},
    "joint": {"network": {**TRANSFORMER, "places": True}},
}
FACTS: dict[str, dict[str, Any]] = {
    "series": {"given": True}, "video": {"forced": True}, "joint": {"forced": True}, "text": {"labels": ("calm", "wild")},
}  # fmt: skip


def model_of(kind: str, **more: Any) -> Model:
    """One whose modality is its class's example."""
    example = modalities[kind].example()
    shape = SHAPES.get(kind) or (tuple(example.importance.shape) if kind == "joint" else (len(example.columns), 16))
    facts = {"categories": example.categories, "std": 1.0, "modality": asdict(example), **FACTS.get(kind, {}), **more}
    return random_model(Facts(shape=shape, **facts), modality={"name": kind}, **CONFIG.get(kind, {}))
