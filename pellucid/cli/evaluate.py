"""`pellucid evaluate`."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli.options import Device, Json, Quiet, Seed, choose_device, result
from pellucid.cli.sample import Batch, Guidance, Sampler, Steps
from pellucid.core.errors import ConfigError, UserError
from pellucid.evaluation import features as networks

if TYPE_CHECKING:
    from pellucid.evaluation.evaluation import Evaluation


def evaluate(
    model: Annotated[Path, typer.Argument(help="A run folder or a model file.", show_default=False)],
    data: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Real data to compare with; a run's own unless given.")
    ] = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many samples are drawn and measured.")] = 2000,
    features: Annotated[
        str, typer.Option(metavar="NAME", help=f"What the metrics compare: auto, {', '.join(networks)}.")
    ] = "auto",
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
    batch: Batch = 64,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """How good samples are, beside what real data would get.

    Labels are drawn in the data's proportion. A run folder's log and report gain
    the figures; compare those of equal N and features only.

    Examples:
      pellucid evaluate runs/photos
      pellucid evaluate runs/photos --data HELD_OUT/ -n 5000 --seeds 3
      pellucid evaluate model.safetensors --data PHOTOS/ --out judged --json
    """
    from pellucid.cli.console import console, counting
    from pellucid.evaluation.evaluate import evaluate as measure
    from pellucid.model.model import Model
    from pellucid.training.measure import record, run_data

    screen = console(quiet)
    if out is not None and out.exists() and not out.is_dir():
        raise UserError(f"Cannot write '{out}': it is a file, expected a folder")
    loaded, is_run = Model.load(model, choose_device(device)), (model / "log.jsonl").is_file()
    if data is None and not is_run:
        raise ConfigError(f"'{model}' is no run that knows its data: give --data PATH")
    found = []
    for each in range(seeds):
        with counting(screen, "sampling" if seeds == 1 else f"seed {each + 1} of {seeds}") as tell:
            found.append(measure(
                loaded, data or run_data(model), n=n, features=features, weights=weights, seed=(seed or 0) + each,
                batch=batch, progress=tell, sampler=sampler, steps=steps, guidance=guidance,
            ))  # fmt: skip
    if out is not None:
        found[0].save(out)
    if is_run and found[0].trained_on:
        record(model, found[0], int(loaded.card["samples_seen"]))
    result(_lines(found, out), _values(found, out), json, quiet)


def _lines(found: Sequence["Evaluation"], out: Path | None) -> dict[str, str]:
    """A table, and what the figures rest on."""
    from pellucid.cli.console import counted, duration
    from pellucid.evaluation.curves import metric_name
    from pellucid.evaluation.wording import figure
    from pellucid.metrics import metrics

    first = found[0]
    over = "" if len(found) == 1 else f"{'± over seeds':>15}"
    lines = {"": f"{'value':>9}{'95% interval':>20}{'real data':>12}{over}"}
    for name, one in first.metrics.items():
        values = [each.metrics[name].value for each in found]
        interval = f"{figure(one.low)} to {figure(one.high)}"
        floor = "–" if one.floor is None else figure(one.floor)
        spread = "" if len(found) == 1 else f"{'± ' + figure(stdev(values), 2):>15}"
        more = name == "agreement" or (name in metrics and metrics[name].better == "more")
        better = "more is better" if more else "less is better"
        lines[metric_name(name)] = f"{figure(fmean(values)):>9}{interval:>20}{floor:>12}{spread}  {better}"
    known = f", {first.accuracy:.1%} of real classes recognised" if first.accuracy is not None else ""
    seeds = "seed" if len(found) == 1 else "seeds"
    lines["samples"] = (
        f"{first.n:,} generated, {counted(first.samples.nfe, 'network call')} each, {seeds} "
        f"{', '.join(str(each.samples.seed) for each in found)}, against {first.n_real:,} real"
    )
    lines["features"] = f"{first.features}{known}"
    lines["took"] = duration(sum(each.seconds for each in found))
    lines |= {"note" + " " * i: note for i, note in enumerate(first.notes)}
    if out is not None:
        lines["files"] = str(out)
    return lines


def _values(found: Sequence["Evaluation"], out: Path | None) -> dict[str, Any]:
    told: dict[str, Any] = {**found[0].everything, "out": out}
    if len(found) == 1:
        return told
    by_name = {name: [each.metrics[name].value for each in found] for name in found[0].metrics}
    spread = {name: {"mean": fmean(row), "std": stdev(row), "values": row} for name, row in by_name.items()}
    return {**told, "seeds": [each.samples.seed for each in found], "over_seeds": spread}
