"""`pellucid export`."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pellucid.cli.options import FLAG, Device, Json, ModelPlace, Quiet, Seed, choose_device, result
from pellucid.cli.sample import Against, Grid, Guidance, Sampler, Steps, check_guidance
from pellucid.core.errors import ConfigError, UserError

if TYPE_CHECKING:
    from pellucid.interop.export import Exported
    from pellucid.interop.model_card import Origin
    from pellucid.model.model import Model

TERMS = "README.md"
"""Beside data that `pellucid data fetch` wrote: its licence and credit."""
LONGEST = 20_000
"""Letters of it."""


def export(
    model: ModelPlace,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="A new folder for all of it.", show_default=False)
    ],
    format: Annotated[
        Literal["onnx", "diffusers"],
        typer.Option(help="onnx: for ONNX Runtime; diffusers: for networks that came from there."),
    ] = "onnx",
    loop: Annotated[
        bool, typer.Option("--loop", metavar=FLAG, help="onnx: all of sampling too, as one graph: noise in, samples out.")
    ] = False,
    sampler: Sampler = None,
    steps: Steps = None,
    guidance: Guidance = None,
    against: Against = None,
    grid: Grid = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write a model for other programs.

    onnx: model.onnx, one call of the denoiser, decoder.onnx where a network
    decodes, and with --loop loop.onnx, with sampler, steps and guidance in it.
    diffusers: a folder that DiffusionPipeline.from_pretrained loads. All is
    compared with torch first, by noise of --seed, and refused if it differs.
    README.md tells what goes in and out, and has the code that runs it.

    Examples:
      pellucid export runs/photos --out photos-onnx
      pellucid export runs/photos --loop --sampler dpmpp --steps 12 -o photos
      pellucid export emoji --loop --guidance 3 --out emoji-onnx
      pellucid export runs/tuned --format diffusers --out tuned
    """
    _check(format, loop, {"sampler": sampler, "steps": steps, "guidance": guidance, "against": against, "grid": grid})
    if choose_device(device) != "cpu" and device != "auto":
        raise ConfigError(f"--device {device}: models are exported and compared on the CPU, leave it out")
    from pellucid.cli.console import console
    from pellucid.interop.export import export as write
    from pellucid.interop.load import load

    screen, loaded = console(quiet), load(model)
    check_guidance(loaded, guidance, against)
    with screen.status("exporting, and comparing with torch"):
        found = write(
            loaded, out, format=format, origin=_origin(model, loaded), loop=loop, seed=seed or 0, sampler=sampler,
            steps=steps, guidance=guidance, against=against, grid=grid,
        )  # fmt: skip
    result(_lines(found, out), {"out": out, "files": found.files, "differences": found.differences,
                                "open_axes": found.open_axes, "seed": seed or 0}, json, quiet)  # fmt: skip


def _check(format: str, loop: bool, settings: dict[str, Any]) -> None:
    """Refuse options that would do nothing."""
    if format == "diffusers" and loop:
        raise ConfigError("--loop is for --format onnx: diffusers has the loop itself")
    for option, value in settings.items():
        if value is not None and not loop:
            raise ConfigError(f"--{option} {value} has no effect without --loop: one call of the denoiser has no such thing"
                              if format == "onnx" else f"--{option} {value} is for --format onnx --loop: in diffusers it is "
                              "said when samples are made")  # fmt: skip


def _lines(found: "Exported", out: Path) -> dict[str, str]:
    lines = {
        name: f"differs from {'torch' if name.endswith('.onnx') else 'ours'} by {difference:.1g} of the largest value"
        for name, difference in found.differences.items()
    }
    if found.open_axes:
        lines["open"] = f"{', '.join(found.open_axes)} may differ from call to call"
    lines["files"] = f"{out}{os.sep}, {len(found.files)} files"
    lines["more"] = f"{out / 'README.md'}: what goes in and out, and the code that runs it"
    return lines


def _origin(place: Path, model: "Model") -> "Origin":
    """What lies beside the model: measurements in the log of a run, terms beside its data."""
    from pellucid.interop.model_card import Origin

    return Origin(name=place.resolve().stem or str(place), quality=tuple(_measured(place)), terms=_terms(place, model))


def _measured(place: Path) -> Iterable[str]:
    """The last measurement of each metric, and of likelihood."""
    from pellucid.evaluation.curves import metric_name, metrics_of
    from pellucid.evaluation.history import History
    from pellucid.evaluation.wording import figure

    history = History.read(place / "log.jsonl")
    latest = {key: (event, metric) for event in history.kind("evaluation") for key, metric in metrics_of(event).items()}
    for key, (event, metric) in latest.items():
        floor = "" if metric.get("floor") is None else f", where real data gets {figure(metric['floor'])}"
        yield (f"{metric_name(key)} {figure(metric['value'])}, 95% interval {figure(metric['low'])} to "
               f"{figure(metric['high'])}, N = {metric['n']:,}, features '{event.get('features')}'{floor}")  # fmt: skip
    for event in history.kind("bits")[-1:]:
        yield f"{event['mean']:.3f} ± {1.96 * event['standard_error']:.3f} bits per token or dimension, N = {event['n']:,}"


def _terms(place: Path, model: "Model") -> str:
    """Of the data of a run, where a file beside it says them."""
    from pellucid.training.config import NAME, load_config

    if "data_source" in model.card or not (place / NAME).is_file():
        return ""
    try:
        data = Path(load_config(place / NAME).data.path)
    except UserError:  # of a version that had other settings
        return ""
    for folder in (data, data.parent):
        if (folder / TERMS).is_file():
            text = (folder / TERMS).read_text(encoding="utf-8", errors="replace")[:LONGEST].strip()
            return re.sub("^#+ ", "### ", text, flags=re.MULTILINE)
    return ""
