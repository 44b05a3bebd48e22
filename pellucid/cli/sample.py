"""`pellucid sample`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, Setting, choose_device, result


def sample(
    model: Annotated[Path, typer.Argument(help="A run folder or a model file.")],
    n: Annotated[int, typer.Option("-n", min=1, help="How many.")] = 16,
    out: Annotated[Path, typer.Option("--out", "-o", help="A folder for one file each, or a picture for all.")] = Path(
        "samples.png"
    ),
    label: Annotated[str | None, typer.Option(help="A class by name; several by commas; 'all' for each in turn.")] = None,
    sampler: Annotated[str | None, typer.Option(help="ddim, heun, dpmpp, unipc, ancestral, ...")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps from noise to data; more is better and slower.")] = None,
    guidance: Annotated[float | None, typer.Option(help="How strongly the label is followed; 1 is off.")] = None,
    guidance_interval: Annotated[
        tuple[float, float] | None, typer.Option(help="log-SNR between which guidance acts.")
    ] = None,
    grid: Annotated[str | None, typer.Option(help="Where the steps lie: uniform, quadratic, karras, log_snr.")] = None,
    journey: Annotated[Path | None, typer.Option(help="Also show noise becoming data: .gif, .webp or .png.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="How many are made at once; does not change the samples.")] = 64,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate samples.

    Examples:

        pellucid sample runs/fashion -n 64 --label all --guidance 2 --out sheet.png

        pellucid sample runs/fashion --label bag,coat --sampler dpmpp --steps 12 --journey bags.gif

        pellucid sample runs/fashion --sampler heun --set sampler.churn=20
    """
    from pellucid.cli.console import console, duration
    from pellucid.model.model import Model

    screen = console(quiet)
    loaded = Model.load(model, choose_device(device))
    wanted: Any = label if label is None or label in loaded.facts.labels else _one_or_many(label)
    parts = _parts({"sampler": sampler, "grid": grid}, setting or [])
    with screen.status("sampling") as status:

        def tell(done: int, total: int) -> None:
            status.update(f"sampling  step {done} of {total}")

        made = loaded.sample(
            n, label=wanted, steps=steps, guidance=guidance, guidance_interval=guidance_interval, seed=seed or 0,
            batch=batch, journey=journey is not None, progress=tell, **parts,
        )  # fmt: skip
    written = made.save(out)
    if journey is not None:
        made.save_journey(journey)
    screen.print(f"{n} samples, {made.nfe} network calls each, {duration(made.seconds)} -> {out}")
    if journey is not None:
        screen.print(f"journey -> {journey}")
    facts = {"n": n, "nfe": made.nfe, "seconds": made.seconds, "labels": made.labels, "seed": made.seed}
    result({**facts, "files": [str(path) for path in written], "journey": journey}, json)


def _one_or_many(label: str) -> str | list[str]:
    names = [name.strip() for name in label.split(",")]
    return names[0] if len(names) == 1 else names


def _parts(names: dict[str, str | None], settings: list[str]) -> dict[str, Any]:
    """Sampler and grid by name, with what `--set sampler.key=value` adds."""
    from pellucid.core.errors import ConfigError
    from pellucid.training.config import setting_value

    parts: dict[str, Any] = {key: {"name": name} for key, name in names.items() if name is not None}
    for setting in settings:
        key, equals, text = setting.partition("=")
        part, _, name = key.partition(".")
        if not equals or part not in names or not name:
            raise ConfigError(f"--set {setting}: expected sampler.KEY=VALUE or grid.KEY=VALUE, such as sampler.eta=0.5")
        if part not in parts:
            raise ConfigError(f"--set {setting}: name the {part} too, with --{part} NAME")
        parts[part][name] = setting_value(text)
    return parts
