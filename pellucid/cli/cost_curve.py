"""`pellucid evaluate --curve`."""

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from pellucid.core.errors import ConfigError

if TYPE_CHECKING:
    from rich.console import Console

    from pellucid.model.model import Model


def measured(
    loaded: "Model", place: Path, data: Path | None, minutes: float | None, features: str, weights: Path | None, seed: int,
    batch: int, screen: "Console",
) -> tuple[dict[str, str], dict[str, Any]]:  # fmt: skip
    """Measure and keep; the table of the ways worth taking, and all."""
    from pellucid.cli.console import counted, counting, duration
    from pellucid.cli.effort import in_words
    from pellucid.evaluation.cost_curve import MINUTES, measure_curve
    from pellucid.evaluation.curves import metric_name
    from pellucid.evaluation.wording import figure
    from pellucid.training.measure import changeable, keep_curve, run_data

    if loaded.group.size > 1:
        raise ConfigError(f"--curve measures the speed of one process, not of {loaded.group.size}")
    changeable(place)
    with counting(screen, "measuring", unit="network call") as tell:
        found = measure_curve(
            loaded, data or run_data(place), minutes=minutes or MINUTES, features=features, weights=weights, seed=seed,
            batch=batch, progress=tell,
        )  # fmt: skip
    keep_curve(place, found)
    lines = {"calls": f"{metric_name(found.metric)}, 95% interval, and how"}
    for point in found.front:
        interval = f"{figure(point.low)} to {figure(point.high)}"
        lines[str(point.calls)] = f"{figure(point.value):>6}   {interval:<14}   {in_words(point.settings)}"
    floor = "" if found.floor is None else f", where real data gets {figure(found.floor)}"
    lines["measured"] = (
        f"{counted(len(found.points), 'way')} to sample, {found.n:,} samples each{floor}, in {duration(found.seconds)}"
    )
    lines["kept in"] = f"{place}, for `pellucid sample {quote(str(place))} --within SECONDS` and `--quality best`"
    return lines, {**found.as_card(), "seconds": found.seconds}


def refuse_beside(options: dict[str, Any]) -> None:
    """Refuse options that have no effect with --curve."""
    for option, value in options.items():
        if value is not None:
            raise ConfigError(f"--{option} has no effect with --curve, which tries them all: leave it out")
