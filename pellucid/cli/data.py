"""`pellucid data`: look at data, pack it, get a known set."""

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import tab
from pellucid.cli.options import Json, Quiet, Setting, result
from pellucid.core.errors import ConfigError, UserError, nearest
from pellucid.known import recipes

if TYPE_CHECKING:
    from pellucid.training.prepare import Prepared

PAGES = (".png", ".jpg", ".jpeg", ".webp", ".html")
LABELS, NAMED = 12, 3  # that are told on the screen

data = typer.Typer(rich_markup_mode="rich")

Source = Annotated[Path, typer.Argument(metavar="DATA", help="Whatever train reads.", show_default=False)]
Size = Annotated[int | None, typer.Option(metavar="N", help="Side of pictures in pixels, rows of a window of series.")]
Channels = Annotated[int | None, typer.Option(metavar="N", help="1 for grey, 3 for RGB.")]
Sheet = Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="A picture of examples, or a page: .png, .html.")]
Folder = Annotated[Path, typer.Option("--out", "-o", metavar="PACK", help="A new folder.", show_default=False)]
Target = Annotated[Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="A new folder; NAME unless given.")]


@data.callback(invoke_without_command=True)
def overview(context: typer.Context) -> None:
    """Look at data, pack it, get a known set.

    What train reads, seen before training: nothing here changes DATA.

    Examples:
      pellucid data show PHOTOS/
      pellucid data pack PHOTOS/ --out photos.pack --size 32
      pellucid data fetch digits
    """
    if context.invoked_subcommand is None:
        print(context.get_help(), end="")
        raise typer.Exit(2)


@data.command()
def show(
    source: Source,
    out: Sheet = Path("data.png"),
    size: Size = None,
    channels: Channels = None,
    setting: Setting = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """What is in DATA, and what training would make of it.

    Reads everything as train does: count, sizes, labels, what is skipped and why,
    samples that are there twice. A sheet of examples, a row a label, goes to --out.

    Examples:
      pellucid data show PHOTOS/
      pellucid data show PHOTOS/ --size 32 --out photos.html
    """
    if out.suffix.lower() not in PAGES:
        raise ConfigError(f"--out {out}: no such format as '{out.suffix}': {nearest(out.suffix, PAGES)}")
    from tempfile import TemporaryDirectory

    from pellucid.evaluation.contents import contents, duplicates, write_examples
    from pellucid.evaluation.data_page import write_data_page

    with TemporaryDirectory() as folder:
        prepared, found = _read(source, Path(folder) / "pack", size, channels, setting or [], quiet)
        pack, values = prepared.pack, {"path": str(source), **contents(prepared.pack)}
        values |= {
            "axes": prepared.modality.axes, "found": found, "duplicates": duplicates(pack), "mean": prepared.facts.mean,
            "std": prepared.facts.std, "categories": prepared.facts.categories,
            "training": _training(pack.label_names, values["unlabelled"], bool(pack.captioned)),
        }  # fmt: skip
        if out.suffix.lower() == ".html":
            shown = {key: value for key, value in values.items() if key not in ("found", "training")} | _found(values)
            sentence = f"Training {values['training']}."
            write_data_page(source.resolve().name, sentence, shown, pack, prepared.modality, out)
            drawn = True
        else:
            drawn = write_examples(pack, prepared.modality, out)
    result(_lines(values) | ({"wrote": str(out)} if drawn else {}), {**values, "out": out if drawn else None}, json, quiet)


@data.command()
def pack(
    source: Source,
    out: Folder,
    size: Size = None,
    channels: Channels = None,
    setting: Setting = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Read DATA once and for all, decoded to one size, into a folder that train opens at once.

    Packing again after nothing has changed costs nothing.

    Examples:
      pellucid data pack PHOTOS/ --out photos.pack --size 32
      pellucid train photos.pack --out runs/photos --minutes 30
    """
    from time import perf_counter

    from pellucid.cli.console import counted, duration
    from pellucid.data.pack import is_pack
    from pellucid.evaluation.contents import contents

    if source.is_dir() and is_pack(source):
        raise ConfigError(f"'{source}' is a pack already: train on it as it is")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"The pack '{out}' would lie inside the data '{source}': give an --out elsewhere")
    start = perf_counter()
    prepared, _ = _read(source, out, size, channels, setting or [], quiet)
    values = contents(prepared.pack)
    samples = f"{counted(values['samples'], 'sample')} of {_shape({**values, 'axes': prepared.modality.axes})}"
    lines = {
        "packed": f"{samples} in {duration(perf_counter() - start)}", **_skipped(values), "pack": str(out),
        "more": f"pellucid train {quote(str(out))} --out run --minutes 10",
    }  # fmt: skip
    result(lines, {"out": out, **values}, json, quiet)


@data.command()
def fetch(
    name: Annotated[str, typer.Argument(autocompletion=tab.known, help=f"{', '.join(recipes)}.", show_default=False)],
    out: Target = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Get a known data set, as a folder that train reads.

    Its licence and credit lie beside it, in README.md.

    Examples:
      pellucid data fetch digits
      pellucid data fetch fashion-mnist --out data/fashion
      pellucid data fetch photographs
    """
    recipe = recipes[name.replace("-", "_").lower()]()
    folder = out or Path(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"'{folder}' is there already: remove it, or give another --out")
    from pellucid.cli.console import console, counting

    with counting(console(quiet), f"fetching {name}") as tell:
        recipe.fetch(folder, tell)
    lines = {
        "fetched": recipe.title, "folder": f"{folder}{os.sep}", "credit": recipe.credit,
        "licence": f"{recipe.licence.splitlines()[0]}, in {folder / 'README.md'}",
        "more": f"pellucid train {quote(str(folder / recipe.part))} --out run --minutes 10",
    }  # fmt: skip
    facts = {"title": recipe.title, "origin": recipe.origin, "credit": recipe.credit, "licence": recipe.licence}
    result(lines, {"out": folder, **facts}, json, quiet)


def _read(
    source: Path, folder: Path, size: int | None, channels: int | None, settings: list[str], quiet: bool
) -> tuple["Prepared", dict[str, Any]]:
    """The data as training reads it, packed into `folder`, and the sizes that its pictures had."""
    from pellucid.cli.console import console
    from pellucid.cli.reading import reading
    from pellucid.core.config import build
    from pellucid.data.pack import is_pack
    from pellucid.evaluation.shapes import shapes
    from pellucid.modalities import modalities
    from pellucid.training.config import apply_settings, parse_config
    from pellucid.training.prepare import kind_of, prepare

    given = {"path": str(source), "size": size, "channels": channels, "condition": "none"}
    config = parse_config({"data": {name: value for name, value in given.items() if value is not None}})
    config = apply_settings(config, settings)
    modality = build(modalities, kind_of(config))
    screen = console(quiet)
    with screen.status("looking"):
        found = shapes(modality.files(source) if source.exists() and not is_pack(source) else [])
    with reading(screen, found["files"]) as watch:
        return prepare(config, folder, watch=watch), found


def _lines(values: dict[str, Any]) -> dict[str, str]:
    """What `show` tells."""
    from pellucid.cli.console import counted

    labels, unlabelled = values["labels"], values["unlabelled"]
    lines = {"samples": f"{values['samples']:,} of {_shape(values)}", **_found(values)}
    if values["notes"]:
        lines["reading"] = "; ".join(
            note if count == 1 else f"{note} ({count:,} files)" for note, count in values["notes"].items()
        )
    if labels:
        often = sorted(labels.items(), key=lambda pair: -pair[1])
        more = [f"and {len(often) - LABELS} more"] if len(often) > LABELS else []
        none = [f"without ({unlabelled:,})"] if unlabelled else []
        told = ", ".join([*(f"{name} ({count:,})" for name, count in often[:LABELS]), *more, *none])
        lines["labels"] = f"{len(labels)}: {told}"
    if values["captioned"]:
        told = "; ".join(values["captions"][:NAMED])
        lines["captions"] = f"of {counted(values['captioned'], 'sample')}, such as: {told}"
    lines |= _skipped(values)
    if values["duplicates"]:
        lines["doubles"] = f"{counted(values['duplicates'], 'sample')} equal to an earlier one"
    if values["categories"]:
        return lines | {"tokens": f"{values['categories']:,} kinds", "training": values["training"]}
    lines["values"] = f"mean {values['mean']:.3f}, standard deviation {values['std']:.3f}, in the model's range"
    return lines | {"training": values["training"]}


def _found(values: dict[str, Any]) -> dict[str, str]:
    """Sizes and ratios of the pictures in files, if there are any and they are what is read."""
    found = values["found"]
    if not found["pictures"] or len(values["shape"]) != 3:
        return {}
    sizes = " to ".join(dict.fromkeys(" x ".join(map(str, found[key])) for key in ("least", "most")))
    ways = ", ".join(f"{found[way]:,} {way}" for way in ("portrait", "square", "landscape") if found[way])
    ratios = " to ".join(dict.fromkeys(f"{ratio:.2f}" for ratio in found["ratios"]))
    return {"found": f"{found['pictures']:,} pictures of {sizes}: {ways}; width / height {ratios}"}


def _skipped(values: dict[str, Any]) -> dict[str, str]:
    """What was not read."""
    if not values["rejected"]:
        return {}
    reasons = "; ".join(f"{count:,} x {reason}" for reason, count in values["reasons"].items())
    named = "; ".join(f"{name}: {reason}" for name, reason in values["examples"][:NAMED])
    return {"skipped": f"{values['rejected']:,} that could not be read: {reasons}", "such as": named}


def _shape(values: dict[str, Any]) -> str:
    """Channels, then sizes.

    >>> _shape({"shape": [3, 32, 48], "axes": "channels x height x width"})
    '3 x 32 x 48 (channels x height x width)'
    """
    return f"{' x '.join(map(str, values['shape']))} ({values['axes']})"


def _training(labels: tuple[str, ...], unlabelled: int, captioned: bool = False) -> str:
    """How `train` would treat samples with these labels, and captions or none."""
    if labels and unlabelled:
        return (
            f"refuses it as it is, since {unlabelled:,} samples have no label: use --condition none, or move every file "
            "into a sub-folder"
        )
    if labels:
        words = " and what captions say" if captioned else ""
        return f"learns to make each of the {len(labels)} labels{words} on demand; --condition none ignores them"
    if captioned:
        return "learns to make what captions say; --condition none ignores them"
    return "learns without labels, since there are none: sub-folders named by label would give some"
