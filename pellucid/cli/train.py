"""`pellucid train`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli import tab
from pellucid.cli.options import FLAG, Device, Json, Quiet, Seed, Setting, choose_device, result

if TYPE_CHECKING:
    from pellucid.model.model import Model

FILES = (
    ("model", "model.safetensors"), ("adapters", "lora.safetensors"), ("pipeline", "pipeline"),
    ("samples", "pictures/samples.npy"), ("samples", "pictures/samples.png"), ("to hear", "pictures/samples.wav"),
    ("to read", "pictures/samples.txt"),
    ("journey", "pictures/journey.gif"), ("report", "report.html"),
    ("tracked", "wandb"),
)  # fmt: skip
"""What a run leaves, by the names it is told under."""

Start = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="MODEL", autocompletion=tab.model,
        help="Go out from: emoji, a run, a model file, a pipeline of diffusers.",
    ),
]
Condition = Annotated[
    str | None,
    typer.Option(
        metavar="WHAT", autocompletion=tab.condition,
        help="auto (labels and captions, if any), none, label, caption, or a column's name.",
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", autocompletion=tab.recipe,
        help="Settings to start from: fashion-mnist, emoji, variational, vae, adversarial, gan, or a TOML file of your own.",
    ),
]
Track = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", autocompletion=tab.tracker,
        help="Beside TensorBoard: wandb, online if it has a key; wandb-offline.",
    ),
]


def train(
    data: Annotated[
        Path | None, typer.Argument(help="Pictures, films, sounds, texts, CSV; folder, zip, tar, Parquet, hub:NAME, .npy.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="The run's folder.")] = Path("run"),
    start: Start = None,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Train for about this long.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="N", help="Train on this many, counting repeats.")] = None,
    size: Annotated[int | None, typer.Option(metavar="N", help="Longer side of pictures; length of others.")] = None,
    condition: Condition = None,
    latent: Annotated[
        bool, typer.Option("--latent", metavar=FLAG, help="Train an autoencoder first, then diffuse its latents.")
    ] = False,
    recipe: Recipe = None,
    setting: Setting = None,
    resume: Annotated[
        bool, typer.Option("--resume", metavar=FLAG, help="Go on with the run in --out as if never stopped.")
    ] = False,
    track: Track = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model on your data.

    Give --minutes or --samples. Sub-folders of pictures become labels. The model,
    its pictures and a report go to --out; Ctrl-C saves, --resume goes on.

    Examples:
      pellucid train PHOTOS/ --out runs/photos --minutes 30
      pellucid train PHOTOS/ --out runs/photos --minutes 120 --latent
      pellucid train data/fashion-mnist --minutes 10 --set network.size=small
      pellucid train STYLE/ --out runs/style --minutes 30 --from emoji
      pellucid train --out runs/photos --resume
    """
    from pellucid.cli.console import TrainingDisplay, console
    from pellucid.core.errors import ConfigError, InterruptedRunError
    from pellucid.core.group import follows
    from pellucid.training.train import train as run

    if data is None and not resume:
        raise ConfigError("No data: give the path of a folder or array file, or --resume with --out")
    go_on = f"pellucid train --out {quote(str(out))} --resume"
    quiet = quiet or follows()
    screen = console(quiet)
    try:
        with TrainingDisplay(screen) as display:
            model = run(
                data, out, start=start, minutes=minutes, samples=samples, size=size, condition=condition, latent=latent,
                recipe=recipe, settings=setting or [], seed=seed, resume=resume, device=choose_device(device),
                observer=display, track=track,
            )  # fmt: skip
    except InterruptedRunError as stop:
        raise InterruptedRunError(f"{stop}: {go_on}") from None
    except KeyboardInterrupt:
        saved = (out / "config.toml").is_file()
        raise InterruptedRunError(f"Interrupted. Go on with --resume: {go_on}" if saved else "Interrupted") from None
    if follows():
        return
    lines, files = _told(model, out, display.loss)
    result(lines, {"run": out, **files, **model.card}, json, quiet)


def _told(model: "Model", out: Path, loss: float | None) -> tuple[dict[str, str], dict[str, Path]]:
    """What came of it, and the files that are there."""
    from pellucid.cli.console import counted, duration

    files = {name: out / place for name, place in FILES if (out / place).exists()}
    spent = 60 * model.card["minutes"]
    done = counted(model.card["samples_seen"], "sample") + (f" in {duration(spent)}" if spent else "")
    done += f", loss {loss:.4f}" if loss is not None else ""
    played = files.get("to hear") or files.get("to read") or files["samples"]
    more = f"pellucid sample {quote(str(out))} -n 16 --out {played.name}"
    return {"done": done, **{name: str(path) for name, path in files.items()}, "more": more}, files
