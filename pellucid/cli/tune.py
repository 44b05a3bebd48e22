"""`pellucid tune`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pellucid.cli import tab
from pellucid.cli.options import Device, Json, Quiet, Seed, Setting, choose_device, result

if TYPE_CHECKING:
    from pellucid.tuning.tried import Tried


def tune(
    data: Annotated[Path, typer.Argument(help="What `train` takes: a folder, an archive, a table, an array; a pack.")],
    trials: Annotated[int, typer.Option(metavar="N", min=1, help="Trainings in all, by all workers.", show_default=False)],
    minutes: Annotated[float | None, typer.Option(metavar="M", help="Of each trial: N x M in all, for one worker.")] = None,
    samples: Annotated[int | None, typer.Option(metavar="K", help="Train each on K samples instead.")] = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="For recipe, report, data.")] = Path("tuned"),
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Of a database instead of --out/study.db: postgresql://USER:PASSWORD@HOST/NAME."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is tried, as TOML in the form of tuning/space.toml.")
    ] = None,
    size: Annotated[int | None, typer.Option(metavar="N", help="Longer side of pictures; length of others.")] = None,
    condition: Annotated[
        str | None,
        typer.Option(metavar="WHAT", autocompletion=tab.condition, help="auto, none, label, caption, or a column."),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(metavar="NAME", autocompletion=tab.recipe, help="The default to start from, as in `train`."),
    ] = None,
    setting: Setting = None,
    seed: Seed = None,
    device: Device = "auto",
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Search for the settings that learn most in M minutes.

    Optimiser, batch, network, noise schedule, weighting and more, by Optuna; what
    --set fixes is not tuned. Trial 0 is the default. Trials are compared, and
    stopped early, by their loss on samples that none trains on. The best settings
    become a recipe for `train --recipe`. The same command goes on where it
    stopped; at the same time in another terminal, or on another machine with the
    same --storage, it is one more worker.

    Examples:
      pellucid tune PHOTOS/ --trials 20 --minutes 5 --out tuned
      pellucid tune PHOTOS/ --trials 20 --minutes 5 --set network.size=small
      pellucid tune POEMS/ --trials 9 --samples 20000 --out tuned-poems
    """
    from pellucid.cli.console import TrainingDisplay, console
    from pellucid.core.errors import InterruptedRunError
    from pellucid.tuning.tune import tune as run

    where, screen = choose_device(device), console(quiet)
    try:
        with TrainingDisplay(screen) as display:
            tried = run(
                data, out, trials=trials, minutes=minutes, samples=samples, size=size, condition=condition, recipe=recipe,
                settings=setting or [], space=space, storage=storage, seed=seed or 0, device=where, observer=display,
            )  # fmt: skip
    except (InterruptedRunError, KeyboardInterrupt):
        raise InterruptedRunError("Interrupted: the same command goes on; the trial at hand begins anew") from None
    length = f"--minutes {minutes:g}" if samples is None else f"--samples {samples}"
    lines, values = _told(tried, out)
    lines["more"] = f"pellucid train {quote(str(data))} --recipe {quote(str(out / 'best.toml'))} --out run {length}"
    result(lines, values, json, quiet)


def _told(tried: "Tried", out: Path) -> tuple[dict[str, str], dict[str, Any]]:
    from pellucid.core.errors import DivergenceError
    from pellucid.tuning.page import beside_default
    from pellucid.tuning.publish import IMPORTANCE, RECIPE, REPORT

    best = tried.best
    if best is None:
        reason = next((each.reason for each in tried.trials if each.reason), "all were stopped early")
        raise DivergenceError(f"None of {tried.footing} came to its end. The first failed like this:\n{reason}")
    lines = {"found": tried.verdict, "trials": tried.footing}
    rows = beside_default(tried, best)
    widths = [max(map(len, column)) for column in zip(("", "best", ""), *rows, strict=True)]
    for key, ours, theirs in () if best.default else rows:
        lines[key] = f"{ours:<{widths[1]}}   default {theirs}"
    if not tried.importance:
        lines["mattered"] = f"cannot be told from {len(tried.complete)} trials that came to their end"
    lines["recipe"] = str(out / RECIPE)
    lines |= {"importance": str(out / IMPORTANCE)} if tried.importance else {}
    lines["report"] = str(out / REPORT)
    gain = {} if tried.gain is None else dict(zip(("less_than_default", "standard_error"), tried.gain, strict=True))
    values = {
        "out": out, "best": best.number, "loss": best.loss, "settings": best.settings, **gain, "defaults": tried.defaults,
        "importance": tried.importance, "interrupted": tried.interrupted,
        "trials": [
            {"trial": each.number, "state": each.state, "loss": each.loss, "settings": each.settings, "reason": each.reason}
            for each in tried.trials
        ],
    }  # fmt: skip
    return lines, values
