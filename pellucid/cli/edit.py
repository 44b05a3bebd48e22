"""`pellucid edit`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pellucid.cli.options import Device, Json, ModelPlace, Quiet, Seed, Setting, choose_device, result
from pellucid.cli.sample import (
    JOURNEYS,
    PICTURES,
    Against,
    Batch,
    Grid,
    Guidance,
    Journey,
    Label,
    Negative,
    Prompt,
    Sampler,
    Steps,
    check_guidance,
    check_numbers,
    check_out,
    parts,
    wanted,
)
from pellucid.core.errors import ConfigError

if TYPE_CHECKING:
    from pellucid.model.samples import Samples

Mask = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Make new what is white in this picture, keep what is black.")
]
Pad = Annotated[
    str | None, typer.Option(metavar="L,T,R,B", help="Pixels to add at the left, top, right and bottom, and to fill.")
]
Strength = Annotated[
    float | None, typer.Option(metavar="R", help="How much to change, from above 0 to 1, all new; also within a mask.")
]
Upscale = Annotated[int | None, typer.Option(metavar="K", help="Enlarge by this whole number.")]
Denoise = Annotated[
    float | None, typer.Option(metavar="SIGMA", help="Take away noise of this standard deviation, in levels of 255.")
]


def edit(
    model: ModelPlace,
    picture: Annotated[Path, typer.Argument(metavar="INPUT", help="A picture.", show_default=False)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A picture, or a folder for one file each.")
    ] = Path("edited.png"),
    mask: Mask = None,
    pad: Pad = None,
    strength: Strength = None,
    upscale: Upscale = None,
    denoise: Denoise = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many, of each alternative.")] = 1,
    label: Label = None,
    prompt: Prompt = None,
    negative: Negative = None,
    sampler: Sampler = None,
    steps: Steps = None,
    guidance: Guidance = None,
    against: Against = None,
    grid: Grid = None,
    journey: Journey = None,
    batch: Batch = 64,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Change a picture: in part, by degrees, larger, without noise.

    --mask and --pad fill in what is missing; all else stays as it is, to the last
    bit where the format of --out keeps it. --strength alone gives pictures of the
    model's size. --upscale and --denoise take one no larger than the model's.

    Examples:
      pellucid edit runs/photos photo.png --mask mask.png --out filled.png
      pellucid edit runs/photos photo.png --pad 16,0,16,0 --out wider.png
      pellucid edit runs/photos sketch.png --strength 0.6 -n 9
      pellucid edit runs/photos small.png --upscale 4 --out large.png
      pellucid edit runs/photos grainy.png --denoise 25
    """
    check_out(out, PICTURES, "--out", folder=True)
    check_out(journey, JOURNEYS, "--journey", folder=False)
    from pellucid.cli.console import console, counting
    from pellucid.conditioners.prompt import expand
    from pellucid.evaluation.outside import picture_warning
    from pellucid.interop.load import load
    from pellucid.model.edit import edit

    screen, loaded = console(quiet), load(model, choose_device(device))
    check_guidance(loaded, guidance, against)
    chosen = parts(loaded, {"sampler": sampler, "grid": grid}, setting or [])
    prompts, notes = expand(prompt) if prompt else [None], list[str]()
    if not (upscale or denoise) and (unlike := picture_warning(loaded, picture)):
        notes.append(unlike)
    with counting(screen, "drawing") as tell:
        made = edit(
            loaded, picture, mask=mask, pad=_pad(pad), strength=strength, upscale=upscale, denoise=denoise, progress=tell,
            n=n * len(prompts), tell=notes.append, label=wanted(loaded, label), prompt=prompt and prompts * n, batch=batch,
            negative=negative, steps=steps, guidance=guidance, against=against, seed=seed or 0, journey=journey is not None,
            **chosen,
        )  # fmt: skip
    check_numbers(made)
    written = made.save(out)
    height, width = made.data.shape[2:]
    place = {"picture" if len(made) == 1 else "pictures": str(out) if written == [out] else f"{out}{os.sep}"}
    lines = ({"note": "; ".join(notes)} if notes else {}) | {"done": _done(made), **place}
    if journey is not None:
        made.save_journey(journey)
        lines["journey"] = str(journey)
    facts = {"n": len(made), "width": width, "height": height, "nfe": made.nfe, "seconds": made.seconds, "seed": made.seed}
    result(lines, {**facts, "notes": notes, "files": [str(path) for path in written], "journey": journey}, json, quiet)


def _done(made: "Samples") -> str:
    from pellucid.cli.console import counted, duration

    height, width = made.data.shape[2:]
    done = f"{counted(len(made), 'picture')} of {width} x {height} in {duration(made.seconds)}"
    return f"{done}, {counted(made.nfe, 'network call')} each, seed {made.seed}"


def _pad(text: str | None) -> tuple[int, int, int, int] | None:
    if text is None:
        return None
    try:
        left, top, right, bottom = map(int, text.split(","))
    except ValueError:
        raise ConfigError(f"--pad {text}: expected pixels at the left, top, right and bottom, such as 16,0,16,0") from None
    return left, top, right, bottom
