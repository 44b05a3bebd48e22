"""`pellucid evaluate`."""

import os
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import tab
from pellucid.cli.cost_curve import measured, refuse_beside
from pellucid.cli.engine import shared
from pellucid.cli.options import FLAG, Device, Json, ModelPlace, Quiet, Seed, result
from pellucid.cli.sample import Against, Batch, Guidance, Sampler, Steps, check_guidance
from pellucid.core.errors import ConfigError, UserError
from pellucid.evaluation import features as networks

if TYPE_CHECKING:
    from pellucid.evaluation.evaluation import Evaluation

Features = Annotated[
    str,
    typer.Option(
        metavar="NAME", autocompletion=tab.among(("auto", *networks)),
        help=f"What the metrics compare: auto, {', '.join(networks)}.",
    ),
]


def evaluate(
    model: ModelPlace,
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Real data to compare with; a run's own unless given.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many samples are drawn and measured.")] = 2000,
    features: Features = "auto",
    weights: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Weights for inception (a file) or dinov2 (a folder).")
    ] = None,
    seeds: Annotated[int, typer.Option(metavar="K", min=1, help="Measure K times, with seeds that follow --seed.")] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FOLDER", help="For the figures and pictures of what was drawn.")
    ] = None,
    sampler: Sampler = None,
    steps: Steps = None,
    guidance: Guidance = None,
    against: Against = None,
    batch: Batch = 64,
    curve: Annotated[
        bool, typer.Option("--curve", metavar=FLAG, help="Measure quality against work, and keep it in the model's file.")
    ] = False,
    minutes: Annotated[float | None, typer.Option(metavar="M", help="--curve: for so long; 10 unless given.")] = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How good samples are, beside what real data would get.

    Labels are drawn in the data's proportion. On its own data, a run's log and
    report gain the figures. Compare those of equal N and equal features only.
    --curve tries samplers, grids, numbers of steps and guidance, each measured,
    for `sample --within` and `--quality`.

    Examples:
      pellucid evaluate runs/photos
      pellucid evaluate runs/photos --data HELD_OUT/ -n 5000 --seeds 3
      pellucid evaluate model.safetensors --data PHOTOS/ --out judged --json
      pellucid evaluate runs/photos --curve --minutes 20
    """
    from pellucid.cli.console import counting
    from pellucid.evaluation.evaluate import evaluate as measure
    from pellucid.training.measure import record, run_data

    _check_folder(out)
    screen, loaded = shared(model, device, quiet)
    is_run = (model / "log.jsonl").is_file()
    if data is None and not is_run:
        raise ConfigError(f"'{model}' is no run that knows its data: give --data PATH")
    if curve:
        refuse_beside({"sampler": sampler, "steps": steps, "guidance": guidance, "against": against, "out": out})
        result(*measured(loaded, model, data, minutes, features, weights, seed or 0, batch or 64, screen), json, quiet)
        return
    if minutes is not None:
        raise ConfigError("--minutes has no effect without --curve: -n says how many samples are measured")
    check_guidance(loaded, guidance, against)
    found = []
    for each in range(seeds):
        with counting(screen, "sampling" if seeds == 1 else f"seed {each + 1} of {seeds}") as tell:
            found.append(measure(
                loaded, data or run_data(model), n=n, features=features, weights=weights, seed=(seed or 0) + each,
                batch=batch or 64, progress=tell, sampler=sampler, steps=steps, guidance=guidance, against=against,
            ))  # fmt: skip
    if not loaded.group.leave():
        return
    if out is not None:
        found[0].save(out)
    if is_run and found[0].trained_on:
        record(model, found[0], int(loaded.card["samples_seen"]))
    result(_lines(found, out), _values(found, out), json, quiet)


def _check_folder(out: Path | None) -> None:
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"Cannot write '{out}': it is a file, expected a folder")


def _lines(found: Sequence["Evaluation"], out: Path | None) -> dict[str, str]:
    """A table, and what the figures rest on."""
    from pellucid.cli.console import counted, duration
    from pellucid.training.measure import flags

    first = found[0]
    known = f", {first.accuracy:.1%} of real classes recognised" if first.accuracy is not None else ""
    seeds = ("seed " if len(found) == 1 else "seeds ") + ", ".join(str(each.samples.seed) for each in found)
    lines = _table(found)
    lines["samples"] = (
        f"{first.n:,} generated, {counted(first.samples.nfe, 'network call')} each, {seeds}, against {first.n_real:,} real"
    )
    lines["features"] = f"{first.features}{known}"
    lines["took"] = duration(sum(each.seconds for each in found))
    lines |= dict(flags(first)) | {"note" + " " * i: note for i, note in enumerate(first.notes)}
    if out is not None:
        lines["files"] = f"{out}{os.sep}"
    return lines


def _table(found: Sequence["Evaluation"]) -> dict[str, str]:
    """A line for each metric: mean over seeds of the value and its interval, the floor, the spread over seeds."""
    from pellucid.evaluation.curves import metric_name
    from pellucid.evaluation.wording import figure

    cells = {"": ("value", "95% interval", "real data", "over seeds", "")}
    for name in found[0].metrics:
        results = [each.metrics[name] for each in found]
        value, low, high = (fmean(getattr(one, end) for one in results) for end in ("value", "low", "high"))
        floor = "–" if results[0].floor is None else figure(results[0].floor)
        spread = f"± {figure(stdev(one.value for one in results), 2)}" if len(found) > 1 else ""
        cells[metric_name(name)] = (figure(value), f"{figure(low)} to {figure(high)}", floor, spread, _better(name))
    widths = [max(map(len, column)) for column in zip(*cells.values(), strict=True)]
    kept = [place for place in range(5) if place != 3 or len(found) > 1]
    return {
        name: "   ".join(row[i].ljust(widths[i]) if i == 4 else row[i].rjust(widths[i]) for i in kept).rstrip()
        for name, row in cells.items()
    }


def _better(name: str) -> str:
    from pellucid.metrics import metrics

    if name in ("closeness", "copied"):
        return "well above real data: copies"
    if name in ("entropy", "repeats"):
        return "like real data is better"
    return f"{metrics[name].better if name in metrics else 'more'} is better"


def _values(found: Sequence["Evaluation"], out: Path | None) -> dict[str, Any]:
    told: dict[str, Any] = {**found[0].everything, "out": out}
    if len(found) == 1:
        return told
    by_name = {name: [each.metrics[name].value for each in found] for name in found[0].metrics}
    spread = {name: {"mean": fmean(row), "std": stdev(row), "values": row} for name, row in by_name.items()}
    return {**told, "seeds": [each.samples.seed for each in found], "over_seeds": spread}
