"""`pellucid sample`."""

import os
import re
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pellucid.cli import tab
from pellucid.cli.effort import choice, in_words
from pellucid.cli.engine import Engine, Reuse, shared, with_engine, with_reuse
from pellucid.cli.options import Device, Json, ModelPlace, Quiet, Seed, Setting, result
from pellucid.core.errors import ConfigError, UserError, nearest
from pellucid.samplers import grids, samplers

if TYPE_CHECKING:
    from pellucid.model.model import Model
    from pellucid.model.samples import Samples

TABLES = (".csv", ".parquet", ".tsv")
SOUNDS = (".wav", ".flac", ".ogg")
FILMS = (".mp4", ".webm", ".webp", ".gif", ".png", ".jpg", ".npy")
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".npy")
SCANS = (".nii", ".nii.gz", ".dcm")
TEXTS = (".txt", ".jsonl")
EVERY = (*PICTURES, *TABLES, *SOUNDS, *FILMS, *SCANS, *TEXTS)
JOURNEYS = (".gif", ".webp", ".png")

Count = Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many.")]
Out = Annotated[
    Path,
    typer.Option("--out", "-o", metavar="PATH", help="A picture, .npy, .csv, .wav, .nii, .txt of all; or a folder."),
]
Label = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", autocompletion=tab.label, help="A class by name; several by commas; 'all' for each in turn."
    ),
]
Prompt = Annotated[
    str | None,
    typer.Option(metavar="TEXT", help="What to make, in words; (word:1.3) weighs, {red|blue} gives both. Begins texts."),
]
Length = Annotated[
    int | None, typer.Option(metavar="L", min=1, help="Of texts: tokens that each has; more than the window goes on.")
]
Given = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="What is known: source=TEXT or FILE; picture=FILE, sound=FILE, text=WORD."),
]
Candidates = Annotated[
    int, typer.Option(metavar="K", min=1, help="Of texts from texts: of K that are drawn, the one most like the others.")
]
Negative = Annotated[str | None, typer.Option(metavar="TEXT", help="What not to make, in words; takes guidance above 1.")]
Sampler = Annotated[
    str | None, typer.Option(metavar="NAME", autocompletion=tab.among(samplers), help=f"{', '.join(samplers)}.")
]
Steps = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Steps from noise to data; more is better and slower.")
]
Guidance = Annotated[
    float | None, typer.Option(metavar="W", help="Weight of guidance, towards the label or against weak; 1 is off.")
]
Interval = Annotated[
    tuple[float, float] | None, typer.Option(metavar="LOW HIGH", help="log-SNR between which guidance acts.")
]
Against = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", autocompletion=tab.among(("null", "weak")),
        help="What guidance leads away from: null (no label) or weak (early weights).",
    ),
]
Grid = Annotated[
    str | None,
    typer.Option(metavar="NAME", autocompletion=tab.among(grids), help=f"Where the steps lie: {', '.join(grids)}."),
]
Within = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="Choose how to sample: the best that takes so long on this machine.")
]
Quality = Annotated[
    Literal["best"] | None, typer.Option(metavar="best", help="Choose how to sample: the best that was measured.")
]
Journey = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Also show noise becoming data: .gif, .webp or .png.")
]
Batch = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="How many are made at once; does not change the samples.")
]


def sample(
    model: ModelPlace,
    n: Count = 16,
    out: Out = Path("samples.png"),
    label: Label = None,
    prompt: Prompt = None,
    length: Length = None,
    given: Given = None,
    candidates: Candidates = 1,
    negative: Negative = None,
    sampler: Sampler = None,
    steps: Steps = None,
    guidance: Guidance = None,
    guidance_interval: Interval = None,
    against: Against = None,
    grid: Grid = None,
    within: Within = None,
    quality: Quality = None,
    journey: Journey = None,
    batch: Batch = None,
    engine: Engine = "torch",
    reuse: Reuse = None,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Generate samples.

    What is not given is as the model's training set it. --set reaches any setting
    of the sampler and the grid: sampler.KEY=VALUE, grid.KEY=VALUE. --within and
    --quality choose by what `pellucid evaluate MODEL --curve` measured.

    Examples:
      pellucid sample runs/fashion -n 64 --label all --guidance 2 --out sheet.png
      pellucid sample runs/fashion --label bag,coat --steps 12 --journey bags.gif
      pellucid sample runs/fashion --guidance 2 --against weak
      pellucid sample runs/fashion -n 100 --within 10
      pellucid sample runs/notes -n 8 --label flute-A4 --out flutes.wav
      pellucid sample runs/heads -n 4 --out heads.nii.gz
      pellucid sample runs/poems -n 4 --prompt "In spring" --out spring.txt
      pellucid sample runs/spanish -n 1 --given source="Good day" -o day.txt
      pellucid sample runs/spoken -n 4 --given text=seven -o sevens
      pellucid sample runs/films -n 9 --prompt "red heart" --out hearts.mp4
      pellucid sample runs/fashion --sampler heun --set sampler.churn=20
    """
    check_out(out, EVERY, "--out", folder=True)
    check_out(journey, JOURNEYS, "--journey", folder=False)
    from pellucid.cli.console import counting
    from pellucid.conditioners.prompt import expand

    screen, loaded = shared(model, device, quiet)
    check_out(out, loaded.modality.suffixes, "--out", folder=True)
    if not loaded.modality.shows(loaded.facts.shape) and (out.suffix.lower() != ".npy" or journey is not None):
        raise UserError(f"{loaded.facts.shape[0]} channels are no colours: expected --out NAME.npy, without --journey")
    check_guidance(loaded, guidance, against, guidance_interval)
    how: dict[str, Any] = {
        **parts(loaded, {"sampler": sampler, "grid": grid}, setting or []), "steps": steps, "guidance": guidance,
        "guidance_interval": guidance_interval, "against": against,
    }  # fmt: skip
    lines = with_engine(loaded, engine, reuse, min(n, batch or 64), screen)
    if within is not None or quality is not None:
        how = choice(loaded, n, how, within, quality, conditional=bool(label or prompt), batch=batch)
        lines["chosen"] = in_words(how)
    how |= {} if batch is None else {"batch": batch}
    asked: dict[str, Any] = {
        "label": wanted(loaded, label), "prompt": prompt and expand(prompt), "negative": negative, "seed": seed or 0
    }  # fmt: skip
    lines |= with_reuse(loaded, reuse, n, screen, **asked, **how)
    with counting(screen, "sampling") as tell:
        made = _drawn(loaded, n, (length, given, candidates), journey=journey is not None, progress=tell, **asked, **how)
    check_numbers(made)
    if loaded.group.leave():
        written = made.save(out)
        if journey is not None:
            made.save_journey(journey)
        result({**lines, **_told(made, out, written, journey)}, _values(made, how, written, journey), json, quiet)


def _drawn(
    model: "Model", n: int, of_text: tuple[int | None, list[str] | None, int], prompt: list[str] | None = None,
    negative: str | None = None, **settings: Any,
) -> "Samples":  # fmt: skip
    """Samples; of texts, those that begin with the prompt, or are made from what is given, as of several parts."""
    from pellucid.modalities.joint import Joint
    from pellucid.modalities.text import Text

    length, given, candidates = of_text
    if isinstance(model.modality, Joint) and given is not None:
        settings["known"], given = model.modality.known(_parts(given, model.modality.made_of)), None
    if not isinstance(model.modality, Text):
        several = None if candidates == 1 else candidates
        for option, value in (("--length", length), ("--given", given), ("--candidates", several)):
            if value is not None:
                raise ConfigError(f"{option} {value}: the model is not of texts, leave it out")
        return model.sample(n, prompt=prompt, negative=negative, **settings)
    if negative is not None:
        raise ConfigError(f"--negative '{negative}': a text begins as it is told, nothing leads away from it")
    if given is not None:
        from pellucid.model.answering import answer

        found = _sources(given)
        if len(found) > n:
            raise ConfigError(f"-n {n}: {len(found):,} sources are given, expected at least as many")
        return answer(model, [found[i % len(found)] for i in range(n)], candidates=candidates, **settings)
    if length is None and prompt is None:
        return model.sample(n, **settings)
    from pellucid.model.writing import write

    return write(model, prompt or [""], n=n, length=length, **settings)


def _sources(given: list[str]) -> list[str]:
    """The texts of --given source=TEXT or source=FILE."""
    from pellucid.model.writing import read_text

    found = list[str]()
    for one in given:
        name, equals, value = one.partition("=")
        if name.strip() != "source" or not equals or not value.strip():
            raise ConfigError(f"--given {one}: expected source=TEXT, or source=FILE with a text in each line")
        found += [line for line in read_text(Path(value)).split("\n") if line.strip()] if Path(value).is_file() else [value]
    return found


def _parts(given: list[str], names: Iterable[str]) -> dict[str, str]:
    """What is said of each part in --given PART=VALUE."""
    found = dict[str, str]()
    for one in given:
        name, equals, value = (word.strip() for word in one.partition("="))
        if not equals or not value or name in found:
            raise ConfigError(f"--given {one}: expected PART=FILE, or text=WORD, of {', '.join(names)} each at most once")
        found[name] = value
    return found


def _told(made: "Samples", out: Path, written: list[Path], journey: Path | None) -> dict[str, str]:
    from pellucid.cli.console import counted, duration

    n, calls = len(made), f"{counted(made.nfe, 'network call')} each"
    return {
        "done": f"{counted(n, 'sample')} in {duration(made.seconds)}, {n / made.seconds:.1f}/s, {calls}, seed {made.seed}",
        "samples": _place(out, written),
        **({"journey": str(journey)} if journey is not None else {}),
    }


def _place(out: Path, written: list[Path]) -> str:
    """Where the samples are."""
    from pellucid.cli.console import counted

    if written == [out]:
        return str(out)
    where = f"{out}{os.sep}" if out.is_dir() else f"{written[0]} to {written[-1].name}"
    return f"{where} ({counted(len(written), 'file')})"


def _values(made: "Samples", given: dict[str, Any], written: list[Path], journey: Path | None) -> dict[str, Any]:
    return {
        "n": len(made), "nfe": made.nfe, "seconds": made.seconds, "labels": made.labels, "prompts": made.prompts,
        "settings": {name: value for name, value in given.items() if value is not None}, "seed": made.seed,
        "files": [str(path) for path in written], "journey": journey,
    }  # fmt: skip


def check_out(path: Path | None, suffixes: tuple[str, ...], option: str, *, folder: bool) -> None:
    """Refuse, before any work, a name that no format has and a place where nothing can be written."""
    if path is None:
        return
    last, both = path.suffix.lower(), "".join(path.suffixes[-2:]).lower()
    suffix = both if both in suffixes else last  # .nii.gz
    as_file = suffix in suffixes
    if not as_file and not (folder and (path.is_dir() or not re.fullmatch(r"\.[a-z][a-z0-9]+", suffix))):
        more = "; a folder has no dot in its name" if folder else ""
        raise ConfigError(f"{option} {path}: no such format as '{suffix}': {nearest(suffix, suffixes)}{more}")
    if as_file and path.is_dir():
        raise ConfigError(f"{option} {path} is a folder, expected the name of a file")
    if as_file and path.is_file() and not os.access(path, os.W_OK):
        raise UserError(f"Cannot write '{path}': it is write-protected")
    place = next(found for found in (*([] if as_file else [path]), *path.parents) if found.exists())
    if not place.is_dir():
        raise UserError(f"Cannot write '{path}': '{place}' is a file, not a folder")
    if not os.access(place, os.W_OK):
        raise UserError(f"Cannot write '{path}': no permission to write in '{place}'")


def check_guidance(
    model: "Model", guidance: float | None, against: str | None, interval: tuple[float, float] | None = None
) -> None:
    """Refuse options of guidance that could not hold, or would do nothing."""
    if guidance is not None and not isfinite(guidance):
        raise ConfigError(f"--guidance {guidance}: expected a number, such as 2")
    if interval is not None and not interval[0] < interval[1]:
        low, high = interval
        raise ConfigError(f"--guidance-interval {low:g} {high:g}: expected two values of log-SNR, the lower first")
    off = float(model.sampling(guidance=guidance)["guidance"]) == 1
    for option, value in (("--guidance-interval", interval), ("--against", against)):
        if value is not None and off:
            raise ConfigError(f"{option} without guidance has no effect: add --guidance W, such as 2")


def check_numbers(made: "Samples") -> None:
    """Refuse to write samples that overflowed."""
    if not bool(made.data.isfinite().all()):
        raise UserError("The samples are not numbers: too strong a guidance, or a model whose training went wrong")


def wanted(model: "Model", label: str | None) -> str | list[str] | None:
    """A label whose name holds a comma is one label."""
    if label is None or label in model.facts.labels or "," not in label:
        return label
    return [name.strip() for name in label.split(",")]


def parts(model: "Model", names: dict[str, str | None], settings: list[str]) -> dict[str, Any]:
    """Sampler and grid by name, or as the model has them, with what `--set sampler.key=value` adds."""
    from pellucid.training.config import setting_value

    defaults = {"grid": model.denoiser.process.schedule.grid, **model.sampling()}
    parts: dict[str, Any] = {key: {"name": name} for key, name in names.items() if name is not None}
    for setting in settings:
        key, equals, text = setting.partition("=")
        part, _, name = key.strip().partition(".")
        if not equals or part not in names or not name:
            raise ConfigError(f"--set {setting}: expected sampler.KEY=VALUE or grid.KEY=VALUE, such as sampler.eta=0.5")
        default = defaults[part]
        section = parts.setdefault(part, {"name": default} if isinstance(default, str) else dict(default))
        section[name] = setting_value(text.strip())
    return parts
