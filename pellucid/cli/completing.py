"""`pellucid continue` and `pellucid impute`: series and films gone on with, gaps filled."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Device, Json, ModelPlace, Quiet, Seed, Setting, choose_device, result
from pellucid.cli.sample import FILMS, TEXTS, Grid, Label, Prompt, Sampler, Steps, check_out, parts, wanted
from pellucid.core.errors import ConfigError, nearest

if TYPE_CHECKING:
    from pellucid.model.model import Model

SUFFIXES = (".csv", ".tsv", ".parquet", ".png", ".webp", ".jpg", ".npy")
PAST = 2  # windows before a forecast in a chart
VERSIONS, QUANTILES = 100, "0.05,0.25,0.75,0.95"  # of a series

Input = Annotated[Path, typer.Argument(metavar="INPUT", help="A CSV or Parquet file with the columns trained on, or a text.",
                                       show_default=False)]  # fmt: skip
Quantiles = Annotated[str, typer.Option(metavar="LIST", help="Besides the median; 'none' for the median alone.")]


def continue_(
    model: ModelPlace,
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A table with the columns trained on, a film, or a text.",
                                           show_default=False)],
    length: Annotated[
        int, typer.Option("--length", "-l", metavar="L", min=1, help="Rows, frames, tokens to add.", show_default=False)
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet table, a .png chart; a .mp4, .webp, .gif film; "
                     ".npy: all versions.", show_default="forecast.csv or continued.webp"),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", metavar="N", min=1, help="Versions that are drawn.", show_default="100; 1 of a film")
    ] = None,
    quantiles: Annotated[
        str | None, typer.Option(metavar="LIST", help="Besides the median, of a table; 'none' for the median alone.",
                                 show_default=QUANTILES),
    ] = None,
    label: Label = None,
    prompt: Prompt = None,
    sampler: Sampler = None,
    steps: Steps = None,
    grid: Grid = None,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What comes next: a forecast with quantiles, or a film or text that goes on.

    Of a table, draws N versions of the next rows of each series in INPUT, and
    writes their median and quantiles. Where some columns are known ahead, put
    them into INPUT, leave the others empty, and use `pellucid impute`. Of a film,
    writes INPUT, at the model's size and rate, and L frames more; likewise a text.

    Examples:
      pellucid continue runs/power history.csv --length 48 --out forecast.csv
      pellucid continue runs/power history.csv -l 48 --out forecast.png
      pellucid continue runs/poems begun.txt --length 300 --out poem.txt
      pellucid continue runs/emoji heart.webp --length 80 --out longer.mp4
    """
    check_out(out, (*SUFFIXES, *FILMS, *TEXTS), "--out", folder=False)
    from pellucid.interop.load import load
    from pellucid.modalities.text import Text
    from pellucid.modalities.video import Video

    loaded = load(model, choose_device(device))
    asked: dict[str, Any] = {"label": label, "sampler": sampler, "steps": steps, "grid": grid, "setting": setting}
    if isinstance(loaded.modality, Video):
        if quantiles is not None:
            raise ConfigError(f"--quantiles {quantiles}: a film has none, leave it out")
        _roll(loaded, source, out or Path("continued.webp"), length, n or 1, {**asked, "prompt": prompt}, seed, json, quiet)
    elif isinstance(loaded.modality, Text):
        for option, value in (("--quantiles", quantiles), ("--prompt", prompt)):
            if value is not None:
                raise ConfigError(f"{option} {value}: a text goes on from INPUT alone, leave it out")
        _write(loaded, source, out or Path("continued.txt"), length, n or 1, asked, "", seed, json, quiet)
    elif prompt is not None:
        raise ConfigError(f"--prompt '{prompt}': series know labels and columns, no words")
    else:
        out = out or Path("forecast.csv")
        _run(loaded, source, out, length, n or VERSIONS, quantiles or QUANTILES, asked, seed, json, quiet)


def impute(
    model: ModelPlace,
    source: Input,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="A .csv or .parquet table, a .png chart, .npy: all versions; .txt.",
                     show_default="filled.csv or filled.txt"),
    ] = None,
    n: Annotated[
        int | None, typer.Option("-n", metavar="N", min=1, help="Versions that are drawn.", show_default="100; 1 of a text")
    ] = None,
    quantiles: Quantiles = "none",
    gap: Annotated[str, typer.Option(metavar="LETTER", help="Of a text: what stands for each token to be found.")] = "_",
    label: Label = None,
    sampler: Sampler = None,
    steps: Steps = None,
    grid: Grid = None,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Fill in what is missing.

    Draws N versions of all empty cells of INPUT, given everything else in it, and
    writes the table with their median there. Of a text, draws what stands for
    each _ in it. What is known stays as it is.

    Examples:
      pellucid impute runs/power gaps.csv --out filled.csv
      pellucid impute runs/poems gaps.txt --out filled.txt
      pellucid impute runs/power gaps.csv --quantiles 0.05,0.95 --out filled.png
    """
    asked: dict[str, Any] = {"label": label, "sampler": sampler, "steps": steps, "grid": grid, "setting": setting}
    check_out(out, (*SUFFIXES, *TEXTS), "--out", folder=False)
    from pellucid.interop.load import load
    from pellucid.modalities.text import Text

    loaded = load(model, choose_device(device))
    if isinstance(loaded.modality, Text):
        _write(loaded, source, out or Path("filled.txt"), 0, n or 1, asked, gap, seed, json, quiet)
    else:
        _run(loaded, source, out or Path("filled.csv"), 0, n or VERSIONS, quantiles, asked, seed, json, quiet)


def _run(
    model: "Model", source: Path, out: Path, length: int, n: int, quantiles: str, asked: dict[str, Any],
    seed: int | None, json: bool, quiet: bool,
) -> None:  # fmt: skip
    _check_place(out, source, SUFFIXES, "a series")
    shares = _shares(quantiles)
    from time import perf_counter

    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.model.completion import complete, save

    screen, notes, began = console(quiet), list[str](), perf_counter()
    settings = parts(model, {"sampler": asked["sampler"], "grid": asked["grid"]}, asked["setting"] or [])
    with counting(screen, "drawing") as tell:
        found = complete(
            model, source, length=length, n=n, progress=tell, tell=notes.append, label=wanted(model, asked["label"]),
            steps=asked["steps"], seed=seed or 0, **settings,
        )  # fmt: skip
    save(found, out, shares, past=PAST * model.facts.shape[1])
    missing = int(sum((one.known != one.known).sum() for one in found))
    what = counted(length, "row") if length else counted(missing, "value")
    lines = {"reading": "; ".join(notes)} if notes else {}
    lines |= {
        "done": f"{what} of {len(found):,} series, {counted(n, 'version')}, in {duration(perf_counter() - began)}, seed "
                f"{seed or 0}",
        "forecast" if length else "filled": str(out),
    }  # fmt: skip
    facts = {"series": len(found), "rows": length, "missing": missing, "n": n, "seed": seed or 0, "file": str(out)}
    result(lines, {**facts, "quantiles": shares, "notes": notes}, json, quiet)


def _roll(
    model: "Model", source: Path, out: Path, length: int, n: int, asked: dict[str, Any], seed: int | None, json: bool,
    quiet: bool,
) -> None:  # fmt: skip
    _check_place(out, source, FILMS, "a film")
    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.model.rolling import roll_on

    settings = parts(model, {"sampler": asked["sampler"], "grid": asked["grid"]}, asked["setting"] or [])
    notes = list[str]()
    with counting(console(quiet), "drawing") as tell:
        made = roll_on(
            model, source, length, n=n, progress=tell, tell=notes.append, label=wanted(model, asked["label"]),
            prompt=asked["prompt"], steps=asked["steps"], seed=seed or 0, **settings,
        )  # fmt: skip
    made.save(out)
    whole = made.data.shape[2]
    lines = {
        "reading": "; ".join(notes),
        "done": f"{counted(length, 'frame')} after {whole - length:,}, {counted(n, 'version')}, in "
                f"{duration(made.seconds)}, seed {made.seed}",
        "film": str(out),
    }  # fmt: skip
    facts = {"frames": whole, "new": length, "n": n, "nfe": made.nfe, "seed": made.seed, "notes": notes, "file": str(out)}
    result(lines, facts, json, quiet)


def _write(
    model: "Model", source: Path, out: Path, length: int, n: int, asked: dict[str, Any], gap: str, seed: int | None,
    json: bool, quiet: bool,
) -> None:  # fmt: skip
    """A text that goes on for `length` tokens, or whose gaps are filled."""
    _check_place(out, source, TEXTS, "a text")
    from pellucid.cli.console import console, counted, counting, duration
    from pellucid.conditioners.known_tokens import UNKNOWN
    from pellucid.modalities.text import Text
    from pellucid.model.writing import read_text, tokens, write

    settings = parts(model, {"sampler": asked["sampler"], "grid": asked["grid"]}, asked["setting"] or [])
    text = read_text(source)
    assert isinstance(model.modality, Text)
    before = tokens(model.modality, text, gap)
    missing = before.count(UNKNOWN)
    if gap and not missing:
        raise ConfigError(f"'{source}' has no '{gap}' to be filled in: write one for each letter, or give --gap")
    with counting(console(quiet), "drawing") as tell:
        made = write(
            model, [text], n=n, length=len(before) + length if length else None, gap=gap, more=not gap, progress=tell,
            label=wanted(model, asked["label"]), steps=asked["steps"], seed=seed or 0, **settings,
        )  # fmt: skip
    made.save(out)
    what = counted(length or missing, "token")
    lines = {
        "done": f"{what}, {counted(n, 'version')}, {counted(made.nfe, 'network call')} each, in {duration(made.seconds)}, "
                f"seed {made.seed}",
        "text": str(out),
    }  # fmt: skip
    result(lines, {"new": length or missing, "n": n, "nfe": made.nfe, "seed": made.seed, "file": str(out)}, json, quiet)


def _check_place(out: Path, source: Path, suffixes: tuple[str, ...], what: str) -> None:
    if out.resolve() == source.resolve():
        raise ConfigError(f"--out {out} is the input itself, which would be lost: give another name")
    if out.suffix.lower() not in suffixes:
        raise ConfigError(f"--out {out} is no format of {what}: {nearest(out.suffix.lower(), suffixes)}")


def _shares(text: str) -> list[float]:
    """Quantiles as the user wrote them."""
    if text.strip().lower() in ("none", ""):
        return []
    try:
        shares = [float(part) for part in text.split(",")]
    except ValueError:
        shares = [2.0]
    if not all(0 <= share <= 1 for share in shares):
        raise ConfigError(f"--quantiles {text}: expected numbers from 0 to 1 with commas between them, such as 0.05,0.95")
    return shares
