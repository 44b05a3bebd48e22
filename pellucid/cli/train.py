"""`pellucid train`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, Setting, choose_device, result


def train(
    data: Annotated[Path | None, typer.Argument(help="A folder of pictures, an IDX, .npy or .npz file, or a pack.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", help="The run's folder.")] = Path("run"),
    minutes: Annotated[float | None, typer.Option(help="Train for about this long.")] = None,
    samples: Annotated[int | None, typer.Option(help="Train on this many samples, counting repeats.")] = None,
    size: Annotated[int | None, typer.Option(help="Side of the pictures in pixels.")] = None,
    condition: Annotated[
        Literal["auto", "none", "label"] | None,
        typer.Option(help="What samples are conditioned on; auto, the default: labels if there are."),
    ] = None,
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
    from pellucid.training.train import train as run

    if data is None and not resume:
        raise ConfigError("No data: give the path of a folder or array file, or --resume with --out")
    screen = console(quiet)
    with TrainingDisplay(screen) as display:
        model = run(
            data, out, minutes=minutes, samples=samples, size=size, condition=condition, recipe=recipe,
            settings=setting or [], seed=seed, resume=resume, device=choose_device(device), observer=display,
        )  # fmt: skip
    files = {"model": out / "model.safetensors", "samples": out / "pictures" / "samples.png", "report": out / "report.html"}
    screen.print(f"done      {model.card['samples_seen']:,} samples in {duration(60 * model.card['minutes'])}")
    for name, path in files.items():
        screen.print(f"{name:<9} {path}", soft_wrap=True)
    result({"run": out, **files, **model.card}, json)
