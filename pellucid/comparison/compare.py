"""The same data by several methods at equal cost, over seeds, measured alike."""

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Protocol

from pellucid.comparison.comparison import Comparison, Outcome
from pellucid.comparison.speed import Tell, time_steps
from pellucid.core.errors import ConfigError, DataError, UserError, nearest
from pellucid.core.files import atomic_write
from pellucid.evaluation.evaluate import LEAST, evaluate
from pellucid.evaluation.wording import duration
from pellucid.model.model import Model
from pellucid.sources.find import is_remote
from pellucid.training.config import RunConfig, apply_settings, load_recipe, recipes
from pellucid.training.loop import run
from pellucid.training.observer import Observer as RunObserver
from pellucid.training.prepare import prepare

DIFFUSION = "diffusion"
"""The method that is trained by default."""
METHODS = (DIFFUSION, "variational", "vae", "adversarial", "gan")
WHAT, SPEEDS, FOUND = "comparison.json", "seconds.json", "evaluation.json"
SHEET = 36
"""Samples in the picture of a method."""


class Observer(RunObserver, Protocol):
    """Whoever shows how it goes."""

    def stage(self, text: str) -> Tell:
        """A stage begins; what is returned is given the steps done and all of them."""


def compare(
    data: Path | str,
    out: Path | str,
    *,
    methods: Sequence[str] = METHODS,
    minutes: float,
    seeds: int = 3,
    n: int = 1000,
    settings: Sequence[str] = (),
    seed: int = 0,
    device: str = "cpu",
    observer: Observer,
) -> Comparison:
    """Train and measure each method with each seed. What is finished lies under `out`, and a second call goes on from it.

    Arguments:
        data: as `train` takes it.
        methods: "diffusion" for the defaults, names of recipes, or TOML files.
        minutes: what each training may cost: samples times the median seconds per sample of steps taken in turn.
        seeds: trainings of each method, with seeds that follow `seed`.
        n: samples that each is measured on.
        settings: "key=value", for all methods.

    Raises:
        UserError: something given is at fault, or `out` holds another comparison.
    """
    out, configs = Path(out), _configs(data, methods, settings)
    if n < LEAST:
        raise ConfigError(f"n = {n}: comparing distributions takes at least {LEAST} samples, and 1,000 to say something")
    if out.exists() and not out.is_dir():
        raise UserError(f"Cannot write '{out}': it is a file, expected a folder")
    what = {"data": _path(data), "methods": list(configs), "minutes": minutes, "n": n, "settings": list(settings)}
    _refuse_another(out / WHAT, what)
    pack = prepare(next(iter(configs.values())), out / "data").pack.folder  # once for all
    _write(out / WHAT, what)  # not before here: what cannot be read leaves no comparison behind
    configs = {name: apply_settings(config, [_toml("data.path", str(pack.absolute()))]) for name, config in configs.items()}
    seconds = _speeds(out / SPEEDS, configs, device, observer.stage("measuring the speed of each"))
    whole = duration(60 * minutes * seeds * len(configs))
    observer.stage(f"{seeds * len(configs)} trainings of {duration(60 * minutes)} each on an idle machine, {whole} in all")
    outcomes = []
    for each in range(seed, seed + seeds):
        for name, config in configs.items():
            samples = max(1, round(60 * minutes / median(seconds[name]) / config.training.batch)) * config.training.batch
            length = config.training.model_copy(update={"samples": samples, "minutes": None})
            folder = out / name / f"seed-{each}"
            own = config.model_copy(update={"training": length, "seed": each})
            found = _outcome(own, folder, n, device, observer, f"{name}, seed {each}")
            outcomes.append(Outcome(method=name, seed=each, seconds=seconds[name], facts=found, folder=folder))
    comparison = Comparison(outcomes=outcomes, minutes=minutes)
    comparison.save(out)
    return comparison


def _configs(data: Path | str, methods: Sequence[str], settings: Sequence[str]) -> dict[str, RunConfig]:
    known = [DIFFUSION, *recipes()]
    configs = {}
    for method in methods:
        if method not in known and not method.endswith(".toml"):
            raise ConfigError(f"Unknown method '{method}': {nearest(method, known)}. A file of your own ends in .toml")
        base = RunConfig() if method == DIFFUSION else load_recipe(method)
        common = [_toml("data.path", _path(data)), "training.evaluate=false", *settings]
        configs[Path(method).stem] = apply_settings(base, common)
    if len(configs) < len(methods):
        raise ConfigError(f"methods = {', '.join(methods)}: expected each once, with names that differ")
    return configs


def _path(data: Path | str) -> str:
    return str(data) if is_remote(Path(data)) else str(Path(data).absolute())


def _toml(key: str, value: str) -> str:
    """A setting whose value is text, whatever is in it."""
    return f"{key}={json.dumps(value, ensure_ascii=False)}"


def _refuse_another(file: Path, what: dict[str, Any]) -> None:
    """Only what was compared is gone on with."""
    if file.is_file():
        before = json.loads(file.read_text(encoding="utf-8"))
        for name, value in what.items():
            if before.get(name) != value:
                raise ConfigError(
                    f"'{file.parent}' holds a comparison with {name} = {before.get(name)}, not {value}: choose another --out"
                )


def _speeds(file: Path, configs: dict[str, RunConfig], device: str, tell: Tell) -> dict[str, list[float]]:
    if not file.is_file():
        _write(file, time_steps(configs, device=device, tell=tell))
    found: dict[str, list[float]] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _outcome(config: RunConfig, folder: Path, n: int, device: str, observer: Observer, title: str) -> dict[str, Any]:
    """What one training is worth; nothing is done again that is there."""
    if (folder / FOUND).is_file():
        found: dict[str, Any] = json.loads((folder / FOUND).read_text(encoding="utf-8"))
        return found
    observer.stage(title)
    model = run(config, folder, resume=(folder / "config.toml").is_file(), device=device, observer=observer)
    measured = evaluate(model, config.data.path, n=n, seed=1, progress=observer.stage(f"{title}, drawing {n:,} samples"))
    samples = measured.samples
    try:
        samples.modality.write(samples.data[:SHEET], folder / "pictures" / "samples.png", labels=None)
    except DataError:  # channels that are no colours
        samples.modality.write(samples.data[:SHEET], folder / "pictures" / "samples.npy", labels=None)
    facts = {
        **measured.facts, "samples_seen": model.card["samples_seen"], "parameters": _size(model),
        "seconds_each": samples.seconds / len(samples),
    }  # fmt: skip
    _write(folder / FOUND, facts)
    return facts


def _size(model: Model) -> int:
    return sum(parameter.numel() for parameter in model.denoiser.parameters())


def _write(file: Path, values: Any) -> None:
    with atomic_write(file) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False), encoding="utf-8")
