"""`pellucid generate`."""

import os
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import tab
from pellucid.cli.engine import Engine, Reuse, with_engine, with_reuse
from pellucid.cli.options import FLAG, Device, Json, Quiet, Seed, choose_device, result
from pellucid.cli.sample import (
    JOURNEYS,
    PICTURES,
    Guidance,
    Journey,
    Negative,
    Sampler,
    Steps,
    check_guidance,
    check_out,
)
from pellucid.core.errors import ConfigError, UnsupportedError, nearest

if TYPE_CHECKING:
    from pellucid.interop.foreign import Foreign
    from pellucid.model.model import Model

MODEL = Path("emoji")
Prompt = Annotated[str, typer.Argument(help="What to make, in English or Chinese.", show_default=False)]
Style = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=tab.style, help="A style that the model knows: noto, twemoji."),
]
Half = Annotated[bool, typer.Option("--half", metavar=FLAG, help="Compute a pipeline of diffusers in 16 bits.")]
LowMemory = Annotated[
    bool, typer.Option("--low-memory", metavar=FLAG, help="Compute a pipeline of diffusers piece by piece.")
]
Lora = Annotated[
    list[str] | None, typer.Option(metavar="FILE", help="Low-rank weights for such a pipeline; FILE:0.8 for less of them.")
]


def generate(
    prompt: Prompt,
    model: Annotated[
        Path, typer.Option(
            metavar="MODEL", autocompletion=tab.model, help="emoji, which comes with the package; a run folder; a model "
            "file; a folder that diffusers wrote, or its OWNER/NAME on the hub.",
        )
    ] = MODEL,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many; several make a contact sheet.")] = 1,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="PATH", help="A picture of all, or a folder for one file each.")
    ] = Path("output.png"),
    style: Style = None,
    negative: Negative = None,
    sampler: Sampler = None,
    steps: Steps = None,
    guidance: Guidance = None,
    journey: Journey = None,
    lora: Lora = None,
    half: Half = False,
    low_memory: LowMemory = False,
    engine: Engine = "torch",
    reuse: Reuse = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make pictures from words.

    Needs no network: a small model of emoji comes with the package and knows
    English and Chinese. (word:1.3) weighs a word, {red|blue} draws each.

    Examples:
      pellucid generate "a cute cat playing with a ball" --steps 50 -o cat.png
      pellucid generate "一只戴帽子的猫" -n 9
      pellucid generate "a {red|blue|green} heart" --style twemoji
      pellucid generate "a (smiling:1.5) face" --negative glasses
      pellucid generate "a red hat" --model runs/hats --journey hat.gif
      pellucid generate "a lighthouse" --model stable-diffusion/ --sampler ddim
    """
    check_out(out, PICTURES, "--out", folder=True)
    check_out(journey, JOURNEYS, "--journey", folder=False)
    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.interop.foreign import Foreign

    screen, notes, lines = console(quiet), list[str](), dict[str, str]()
    loaded = _opened(model, choose_device(device), half=half, low_memory=low_memory, lora=_weights(lora or []))
    settings: dict[str, Any] = {"negative": negative, "steps": steps, "guidance": guidance, "seed": seed or 0}
    if isinstance(loaded, Foreign):
        others = {"--style": style, "--sampler": sampler, "--journey": journey, "--reuse": reuse}
        _refuse(others, engine, type(loaded.pipeline).__name__)
    else:
        check_guidance(loaded, guidance, None)
        lines |= with_engine(loaded, engine, reuse, n, screen)
        notes, settings["label"], settings["sampler"] = _notes(loaded, prompt), _style(loaded, style), sampler
        lines |= with_reuse(loaded, reuse, n, screen, prompt=prompt, **settings)
        settings["journey"] = journey is not None
    with counting(screen, "drawing") as tell:
        made = loaded.generate(prompt, n, progress=tell, **settings)
    written = made.save(out)
    lines |= {
        "done": f"{counted(len(made), 'picture')} in {duration(made.seconds)}, {counted(made.nfe, 'network call')} each, "
        f"seed {made.seed}",
        **({"note": " ".join(notes)} if notes else {}),
        "picture" if len(made) == 1 else "pictures": str(out) if written == [out] else f"{out}{os.sep}",
    }
    if journey is not None:
        made.save_journey(journey)
        lines["journey"] = str(journey)
    facts = {"prompts": made.prompts, "nfe": made.nfe, "seconds": made.seconds, "seed": made.seed, "notes": notes}
    result(lines, {**facts, "files": [str(path) for path in written], "journey": journey}, json, quiet)


def _opened(model: Path, device: str, **options: Any) -> "Model | Foreign":
    """The model, or a pipeline that diffusers has to run."""
    from pellucid.interop.find import find
    from pellucid.interop.foreign import Foreign
    from pellucid.interop.load import load

    place = find(model)
    if Foreign.claims(place):
        return Foreign.load(place, device, **options)
    return load(place, device, **options)


def _weights(lora: list[str]) -> dict[Path, float]:
    """Files by how much of each is added: all of it, or what follows a colon at the end."""
    found = {}
    for text in lora:
        file, colon, end = text.rpartition(":")
        try:
            file, weight = (file, float(end)) if colon else (text, 1.0)
        except ValueError:
            file, weight = text, 1.0
        if not isfinite(weight):
            raise ConfigError(f"--lora {text}: expected FILE or FILE:WEIGHT, such as {file}:0.8")
        found[Path(file)] = weight
    return found


def _refuse(options: dict[str, Any], engine: str, kind: str) -> None:
    """Refuse options that only our own sampling has."""
    for option, value in {**options, "--engine": None if engine == "torch" else engine}.items():
        if value is not None:
            raise UnsupportedError(f"{option} has no effect on a {kind}, which diffusers runs as it is: leave it out")


def _notes(model: "Model", prompt: str) -> list[str]:
    """What the user should know of how the prompt is read."""
    from pellucid.conditioners.caption import Caption
    from pellucid.conditioners.prompt import expand
    from pellucid.conditioners.reader import Reader

    reader, prompts = model.conditioners.get("caption"), expand(prompt)
    told = [f"The folder's {part.replace('_', ' ')} is not run." for part in model.card.get("left_out", ())]
    if isinstance(reader, Caption):
        unknown: dict[str, None] = {}
        for one in prompts:
            words, all_words = reader.unknown_words(one)
            unknown |= dict.fromkeys(words)
            if len(words) == all_words:
                return [f"'{one}' has no word that the model knows, so the picture is a guess by the spelling."]
        told += [f"Not known to the model, so guessed by their spelling: {', '.join(unknown)}."] if unknown else []
    if isinstance(reader, Reader):
        count, read = max(map(reader.extent, prompts))
        told += [f"Only the first {read} of {count} {reader.unit} are read."] if count > read else []
    return told


def _style(model: "Model", style: str | None) -> str | None:
    if style is None or style in model.facts.labels:
        return style
    if not model.facts.labels:
        raise UnsupportedError(f"--style {style}: the model knows no styles")
    raise ConfigError(f"--style {style}: {nearest(style, model.facts.labels)}")
