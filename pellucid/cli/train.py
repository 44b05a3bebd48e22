"""`pellucid train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, Setting, choose_device, result

if TYPE_CHECKING:
    from pellucid.model.model import Model


def train(
    data: Annotated[Path | None, typer.Argument(help="A folder of pictures, an IDX, .npy or .npz file, or a pack.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("run"),
    minutes: Annotated[float | None, typer.Option(help="Train for about this long.")] = None,
    samples: Annotated[int | None, typer.Option(help="Train on this many samples, counting repeats.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the pictures in pixels.")] = None,
    condition: Annotated[
        Literal["auto", "none", "label"], typer.Option(help="What samples are conditioned on; auto: labels if there are.")
    ] = "auto",
    recipe: Annotated[Path | None, typer.Option(help="A TOML file of settings to start from.")] = None,
    setting: Setting = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out as if never stopped.")] = False,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on your data.

    Examples:

        pellucid train PHOTOS/ --out runs/photos --minutes 30

        pellucid train data/fashion-mnist --out runs/fashion --minutes 10 --set network.size=small

        pellucid train --out runs/photos --resume
    """
    from pellucid.cli.console import TrainingDisplay, console, duration
    from pellucid.core.errors import ConfigError
    from pellucid.evaluation.report import write_report
    from pellucid.training.config import RunConfig, apply_settings, load_config
    from pellucid.training.loop import train as run

    if data is None and not resume:
        raise ConfigError("No data: give the path of a folder or array file, or --resume with --out")
    config = load_config(recipe) if recipe else RunConfig()
    given = {
        "data.path": None if data is None else str(data.absolute()), "data.size": size, "seed": seed,
        "data.condition": condition if condition != "auto" else None,
        "training.minutes": minutes, "training.samples": samples,
    }  # fmt: skip
    flags = [f"{key}={_toml(value)}" for key, value in given.items() if value is not None]
    config = apply_settings(config, flags + (setting or []))
    screen = console(quiet)
    with TrainingDisplay(screen) as display:
        model = run(config, out, resume=resume, device=choose_device(device), observer=display)
    pictures = _show(model, out)
    report = write_report(out)
    seen, spent = model.card["samples_seen"], 60 * model.card["minutes"]
    screen.print(f"done      {seen:,} samples in {duration(spent)}")
    screen.print(f"model     {out / 'model.safetensors'}\nsamples   {pictures}\nreport    {report}")
    result({"run": str(out), "report": str(report), "samples": str(pictures), **model.card}, json)


def _toml(value: object) -> str:
    import json

    return json.dumps(value) if isinstance(value, str) else str(value)


def _show(model: "Model", out: Path) -> Path:
    """A first look: samples of every label and how they came about."""
    label = "all" if model.facts.labels else None
    count = min(100, 10 * len(model.facts.labels)) if model.facts.labels else 36
    samples = model.sample(count, label=label, steps=25, guidance=2.0 if label else None, journey=True)
    samples.save(out / "pictures" / "samples.png")
    samples.save_journey(out / "pictures" / "journey.gif")
    return out / "pictures" / "samples.png"
