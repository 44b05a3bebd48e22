"""Everything that has been found, written down: best.toml, importance.png, report.html."""

from pathlib import Path
from typing import Any

from pellucid.core.files import atomic_write
from pellucid.evaluation.wording import duration, figure
from pellucid.training.config import RunConfig
from pellucid.tuning.dimension import configured
from pellucid.tuning.importance import draw_importance
from pellucid.tuning.page import tuning_page
from pellucid.tuning.recipe import write_recipe
from pellucid.tuning.space import Space
from pellucid.tuning.tried import Tried

RECIPE, IMPORTANCE, REPORT = "best.toml", "importance.png", "report.html"
FEW = 20
"""Trials under which importances are no more than a hint."""


def publish(study: Any, space: Space, out: Path) -> Tried:
    """Write what there is to say so far; files of which there is nothing to say are not made."""
    tried = Tried.of(study, space, length=_length(space.base))
    if tried.best is not None:
        config = space.base if tried.best.default else configured(space.base, tried.best.settings)
        write_recipe(config, out / RECIPE, _heading(tried))
    if tried.importance:
        few = "; so few say little" if len(tried.complete) < FEW else ""
        note = f"fANOVA over {len(tried.complete)} trials that came to their end, of settings that all of them have{few}"
        draw_importance(tried.importance, "How far each setting decides the loss", note, out / IMPORTANCE)
    text = tuning_page(out.resolve().name, tried, out / RECIPE, out / IMPORTANCE)
    with atomic_write(out / REPORT) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return tried


def _length(config: RunConfig) -> str:
    training = config.training
    return f"{training.samples:,} samples" if training.minutes is None else duration(60 * training.minutes)


def _heading(tried: Tried) -> str:
    """What the recipe is, with the loss that is expected of it."""
    best, default = tried.best, tried.default
    assert best is not None
    beside = "" if default is None or best.default else f"; the default: {figure(default.loss or 0, 4)}"
    return (
        f"The best of {tried.footing} by `pellucid tune`: trial {best.number}{', the default' if best.default else ''}.\n"
        f"Expected held-out loss after {tried.length}: {figure(best.loss or 0, 4)}{beside}"
    )
