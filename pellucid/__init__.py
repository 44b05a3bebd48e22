"""Diffusion models from your own data: train, sample, control and measure them.

    import pellucid

    model = pellucid.train("photos/", "runs/photos", minutes=30)
    model = pellucid.load("runs/photos")
    model.sample(16, label="all", guidance=2).save("sheet.png")
    model.sample(100, **pellucid.choose(model, 100, within=10))
    pellucid.edit(model, "photo.png", mask="mask.png").save("filled.png")
    pellucid.evaluate(model, "held_out/").metrics["frechet"]

Everything is imported on first use, so `import pellucid` costs nothing.
"""

from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pellucid.evaluation.evaluate import evaluate
    from pellucid.interop.load import load
    from pellucid.model.edit import edit
    from pellucid.model.effort import choose
    from pellucid.model.model import Model
    from pellucid.model.samples import Samples
    from pellucid.training.train import train

__all__ = ["Model", "Samples", "choose", "edit", "evaluate", "load", "train"]

_HOMES = {
    "Model": ("model.model", "Model"),
    "Samples": ("model.samples", "Samples"),
    "choose": ("model.effort", "choose"),
    "edit": ("model.edit", "edit"),
    "evaluate": ("evaluation.evaluate", "evaluate"),
    "load": ("interop.load", "load"),
    "train": ("training.train", "train"),
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # costs as much as all the rest

        return version("pellucid")
    if name not in _HOMES:
        raise AttributeError(f"module 'pellucid' has no attribute '{name}'")
    module, attribute = _HOMES[name]
    return attrgetter(attribute)(import_module(f"pellucid.{module}"))


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
