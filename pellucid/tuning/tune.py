"""Tuning as the command line and Python offer it: data in, the settings that learn most from it in the time given out."""

import json
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pellucid.core.errors import ConfigError, UnsupportedError, UserError
from pellucid.core.optional import optional
from pellucid.evaluation.held_out import HeldOut, measurable
from pellucid.model.model import Model
from pellucid.sources.find import is_remote
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from pellucid.training.loop import assemble
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.train import Observer, default_for
from pellucid.tuning.dimension import configured
from pellucid.tuning.publish import publish
from pellucid.tuning.space import Space
from pellucid.tuning.split import Parts, split
from pellucid.tuning.study import open_study
from pellucid.tuning.tried import Tried
from pellucid.tuning.worker import Worker

DATABASE = "study.db"


def tune(
    data: Path | str,
    out: Path | str = "tuned",
    *,
    trials: int,
    minutes: float | None = None,
    samples: int | None = None,
    size: int | None = None,
    condition: str | None = None,
    recipe: Path | str | None = None,
    settings: Sequence[str] = (),
    space: Path | None = None,
    storage: str | None = None,
    seed: int = 0,
    device: str = "cpu",
    observer: Observer,
) -> Tried:
    """Train with settings that a search proposes, compare by the loss on samples held out, and write the best as a recipe.

    Trial 0 is the default. A second call, or one in another process at the same time, goes on with the same study. Under
    `out`: best.toml, importance.png and report.html, made anew after each trial; data, packed; study.db.

    Arguments:
        data, size, condition, recipe: as `train` takes them.
        trials: how many in all, by all workers; those that were interrupted do not count.
        minutes: of training, each; or
        samples: that each is trained on: the same trial is then the same wherever it runs.
        settings: "key=value" for all trials; what is set is not tuned.
        space: a TOML file of dimensions in the place of our own (see space.toml).
        storage: address of a database in the place of `out`/study.db.
        seed: of the proposals, of every training and of what is held out.
        observer: shown each training, and told how each trial ended.

    Raises:
        UserError: something given is at fault, or `out` holds another study.
        InterruptedRunError: by a signal; the trial at hand does not count.
    """
    for library in ("optuna", "sklearn"):  # the latter for importances, so it is missed now rather than at the end
        optional(library, "Tuning", "tune")
    if (minutes is None) == (samples is None):
        raise ConfigError("How long is a trial? Give --minutes M or --samples N, one of them")
    out, path = Path(out), str(data if is_remote(Path(data)) else Path(data).absolute())
    if out.exists() and not out.is_dir():
        raise UserError(f"Cannot write '{out}': it is a file, expected a folder")
    given = {"data.path": path, "data.size": size, "data.condition": condition, "seed": seed}
    flags = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in given.items() if value is not None]
    base = load_recipe(recipe) if recipe else default_for(flags, settings)
    base = _lasting(apply_settings(base, [*flags, *settings]), minutes, samples)
    table = Space.read(base, space, fixed=[setting.partition("=")[0].strip() for setting in settings])
    parts = split(base, out / "data", seed)
    config = _of_pack(base, parts)
    held_out = HeldOut(pack=parts.held_out, seed=seed)
    _check(config, table, held_out, theirs=space is not None)
    what = _what(base, table, parts)
    url = storage or f"sqlite:///{(out / DATABASE).absolute().as_posix()}"
    study = open_study(url, out.resolve().name, what)
    Worker(
        study=study, space=table, config=config, held_out=held_out, out=out, trials=trials, seed=seed, device=device,
        observer=observer, publish=lambda: publish(study, table, out),
    ).run()  # fmt: skip
    return publish(study, table, out)


def _lasting(config: RunConfig, minutes: float | None, samples: int | None) -> RunConfig:
    flags = [f"training.minutes={minutes}"] if samples is None else [f"training.samples={samples}"]
    length = config.training.model_copy(update={"minutes": None, "samples": None})
    return apply_settings(config.model_copy(update={"training": length}), flags)


def _of_pack(config: RunConfig, parts: Parts) -> RunConfig:
    """The same, of what has been packed for training."""
    data = config.data.model_copy(update={"path": str(parts.train.folder.absolute()), "size": None, "channels": None})
    return config.model_copy(update={"data": data, "modality": {"name": "auto"}})


def _check(config: RunConfig, space: Space, held_out: HeldOut, *, theirs: bool) -> None:
    """Refuse what no trial could be made of: before the first, and of a space of one's own each dimension by itself."""
    prepared: Prepared = prepare(config, held_out.pack.folder.parent)
    _refuse_incomparable(assemble(config, prepared)[0])
    for dimension in space.dimensions if theirs else ():
        if dimension.applies(config):
            for value in dimension.values or (dimension.low, dimension.high):
                assemble(configured(config, {dimension.key: value}), prepared)


def _refuse_incomparable(model: Model) -> None:
    """A model of which there is no loss that could be compared between trials."""
    if model.codec.learned:
        raise UnsupportedError(
            "Tuning compares errors of what is diffused, and an autoencoder makes that anew in every trial: leave "
            "codec.name = kl out, or tune on latents that are packed already"
        )
    if not measurable(model):
        raise UnsupportedError(
            f"Tuning compares errors of a mean, which a denoiser of kind {type(model.denoiser).__name__} does not give: "
            "expected denoiser.name = regression, wiener or categorical"
        )


def _what(base: RunConfig, space: Space, parts: Parts) -> dict[str, Any]:
    """What tells one study from another, in terms of JSON."""
    fixed = base.model_dump(mode="json", exclude={"data": {"path"}, "training": {"minutes", "samples"}})
    dimensions = [each.model_dump(mode="json", exclude_none=True) for each in space.dimensions]
    return {
        "data": parts.train.content[:16] + parts.held_out.content[:16], "minutes": base.training.minutes,
        "samples": base.training.samples, "seed": base.seed,
        "configuration": sha256(json.dumps(fixed, sort_keys=True).encode()).hexdigest()[:16],
        "space": sha256(json.dumps(dimensions, sort_keys=True).encode()).hexdigest()[:16],
    }  # fmt: skip
