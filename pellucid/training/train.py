"""Training as the command line and Python offer it: data in, a run folder with model, pictures and report out."""

import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from math import prod
from pathlib import Path
from typing import Any, Protocol

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.lock import locked
from pellucid.data.order import stream
from pellucid.data.pack import Pack, is_pack
from pellucid.evaluation.asked import given_of
from pellucid.evaluation.report import write_report
from pellucid.evaluation.source import opened
from pellucid.modalities import modalities
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.sources.find import is_remote
from pellucid.training.config import NAME, RunConfig, apply_settings, load_config, load_recipe
from pellucid.training.fit import fit
from pellucid.training.journal import NAME as LOG
from pellucid.training.loop import run
from pellucid.training.measure import measure
from pellucid.training.observer import Observer as RunObserver
from pellucid.training.outcome import outcome
from pellucid.training.prepare import kind_of
from pellucid.training.ranks import Ranks
from pellucid.training.start import settings_of
from pellucid.training.tracker import tracking

LOOK = 2**20
"""Pixels of all pictures of a first look together, of which labels and captions are shown."""


class Observer(RunObserver, Protocol):
    """Whoever shows how training goes, and what comes after it."""

    def tell(self, name: str, text: str) -> None:
        """One line, under a name."""


def train(
    data: Path | str | None = None,
    out: Path | str = "run",
    *,
    start: Path | str | None = None,
    minutes: float | None = None,
    samples: int | None = None,
    size: int | None = None,
    condition: str | None = None,
    latent: bool = False,
    recipe: Path | str | None = None,
    settings: Sequence[str] = (),
    seed: int | None = None,
    resume: bool = False,
    device: str = "cpu",
    observer: Observer | None = None,
    track: str | None = None,
) -> Model:
    """Train a model on `data`; model, log, pictures and report are written under `out`.

    Arguments:
        data: pictures in a folder, an archive, a table or `hub:OWNER/NAME`; an array file or folder of such; or a pack.
        out: the run's folder.
        start: a model to go out from, by path or name: the parts of the new model are its parts, and so are its weights.
        minutes: time to train for; or
        samples: how many to train on, counting repeats.
        size: longer side of the pictures in pixels; None: as the data is.
        condition: what samples are conditioned on: "none", "label", "caption", or the column that holds captions; None or
            "auto": labels and captions, if there are any.
        latent: train an autoencoder first, in a third of the minutes, and diffuse its latents.
        recipe: settings to start from: the name of a recipe that ships with the package, or a TOML file.
        settings: "key=value" for any other setting, as `--set` on the command line.
        seed: same seed, same model.
        resume: go on with the run in `out` as if it had never stopped.
        device: "cpu", "cuda", "mps".
        observer: told before the start, after each step, and how good the model is.
        track: "wandb" or "wandb-offline": a tracker beside TensorBoard.

    Raises:
        UserError: something given is at fault; nothing was trained.
        DivergenceError, InterruptedRunError: see `loop.run`.
    """
    out, tracker = Path(out), tracking(track)
    given = {
        "data.path": None if data is None else str(data if is_remote(Path(data)) else Path(data).absolute()),
        "data.size": size, "data.condition": condition, "seed": seed,
        "training.minutes": minutes, "training.samples": samples, "codec.name": "kl" if latent else None,
    }  # fmt: skip
    flags = [f"{key}={_toml(value)}" for key, value in given.items() if value is not None]
    if minutes is not None and samples is not None:
        raise ConfigError(f"minutes = {minutes:g} and samples = {samples}: give one of them")
    own = load_config(out / NAME) if resume and (out / NAME).is_file() else None
    if start is not None and recipe is not None:
        raise ConfigError(f"start = {start} and recipe = {recipe}: give one of them, since a model has its settings")
    base = load_recipe(recipe) if recipe else own or (default_for(flags, settings) if start is None else settings_of(start))
    if (recipe or own is None) and (minutes or samples):  # the recipe's length gives way
        length = base.training.model_copy(update={"minutes": None, "samples": None})
        base = base.model_copy(update={"training": length})
    config = apply_settings(base, [*flags, *settings])
    if own is not None:
        config = _settled_like(own, config)
        _refuse_changes(own, config)
    fixed = [each.partition("=")[0].strip() for each in (*flags, *settings)]

    def tell(name: str, text: str) -> None:
        if observer is not None:
            observer.tell(name, text)

    fitting = None if recipe or start else lambda config, prepared, pack: fit(config, prepared, pack, device, fixed, tell)
    ranks = Ranks.join(device)
    with locked(out) if ranks.first else nullcontext():
        model = run(
            config, out, resume=resume, device=device, observer=observer, track=tracker, fit=fitting, tell=tell, ranks=ranks
        )  # fmt: skip
        if ranks.first:
            _look_back(model, config, out, tell)
    return model


def _look_back(model: Model, config: RunConfig, out: Path, tell: Callable[[str, str], None]) -> None:
    """What came of it: samples, the report, and how good they are."""
    if (came := outcome(out / LOG)) is not None:
        tell("learned", came)
    look = _first_look(model, Path(config.data.path) if is_pack(Path(config.data.path)) else out / "data", out / "pictures")
    write_report(out)
    if config.training.evaluate:
        measure(model, out, look, tell)


def default_for(flags: Sequence[str], settings: Sequence[str]) -> RunConfig:
    """The recipe that suits the kind of data, which `data.path=...` among the flags says."""
    asked = apply_settings(RunConfig(), [flag for flag in flags if flag.startswith("data.path=")])
    known = ("modality.", "data.stream")
    asked = apply_settings(asked, [setting for setting in settings if setting.strip().startswith(known)])
    recipe = modalities[kind_of(asked)["name"]].recipe
    return load_recipe(recipe) if recipe else RunConfig()


def _settled_like(own: RunConfig, asked: RunConfig) -> RunConfig:
    """What a recipe leaves to the machine and the data was settled at the run's start."""
    if asked.training.precision == "auto":
        asked = apply_settings(asked, [f"training.precision={own.training.precision}"])
    if asked.modality["name"] == "auto":
        asked = asked.model_copy(update={"modality": {**asked.modality, "name": own.modality["name"]}})
    return asked


def _refuse_changes(own: RunConfig, asked: RunConfig) -> None:
    """Only where the data lies may differ from what the run was started with."""
    old, new = _flat(own.model_dump(exclude={"data": {"path"}})), _flat(asked.model_dump(exclude={"data": {"path"}}))
    for key in {**new, **old}:
        if old.get(key) != new.get(key):
            raise ConfigError(
                f"--resume goes on with the settings that the run was started with: {key} is {old.get(key)}, "
                f"not {new.get(key)}. "
                "Leave it out, or start a new run in another folder"
            )


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def _toml(value: object) -> str:
    """A string in quotes, anything else as it is.

    >>> _toml("0.5"), _toml(0.5)
    ('"0.5"', '0.5')
    """
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)


def _first_look(model: Model, data: Path, folder: Path) -> Samples:
    """Samples of every label, a row for each, or of some captions, and how they came about; of large pictures a few."""
    labels, most = len(model.facts.labels), max(4, min(36, LOOK // prod(model.facts.shape[1:])))
    if model.facts.captions:
        pack = Pack.open(data)
        ids = stream(model.card["seed"], len(pack), 0, min(most, len(pack))).tolist()
        label = [pack.label_names[pack.labels[sample]] for sample in ids] if labels else None
        prompts = [(*pack.captions(sample), "")[0] for sample in ids]
        samples = model.sample(len(ids), label=label, prompt=prompts, journey=True)
    elif model.modality.sourced:
        with opened(Pack.open(data), model) as source:
            samples = model.sample(most, known=given_of(model, source, most, model.card["seed"]), journey=True)
    elif labels:
        count = labels * max(1, min(10, 100 // labels))
        samples = model.sample(count, label="all", journey=True)
    else:
        samples = model.sample(most, journey=True)
    try:
        samples.save(folder / "samples.png")
        samples.save_journey(folder / "journey.gif")
        if played := model.modality.played:
            samples.save(folder / f"samples{played}")
    except DataError:  # channels that are no colours
        samples.save(folder / "samples.npy")
    return samples
