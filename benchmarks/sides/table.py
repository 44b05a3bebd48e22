"""The record of what was measured."""

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from statistics import median
from typing import Any

from resume import machine

from sides.measure import CALLS
from sides.search import FACTOR, GLANCE

BARS = {"pictures": 3.0, "torch": 1.0, "engine": 1.5}
Facts = dict[str, Any]


def as_markdown(small: Facts, step: Facts) -> str:
    return "\n".join([
        "# The same weights in diffusers",
        "",
        *_claims(small, step),
        "",
        *_small(small),
        "",
        *_step(step),
        "",
        "- commands: in the docstring of benchmarks/whole.py",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- versions: diffusers {version('diffusers')}, ONNX Runtime {version('onnxruntime')}",
        "",
    ])


def _claims(small: Facts, step: Facts) -> Iterator[str]:
    speed = small["speed"]
    for name in ("ours, engine", "ours"):
        told, held = _ratio(speed[name], speed["diffusers"], BARS["pictures"])
        yield (
            f"- Small model, {name}: {told} times as many pictures per second as the best of diffusers, each in the fewest "
            f"calls that reach {FACTOR} times the teacher's distance; at least {BARS['pictures']:g}: **{held}**"
        )
    seconds = {name: _middles(rounds) for name, rounds in step["seconds"].items()}
    for name in (name for name in seconds if not name.startswith("diffusers")):
        engine, _, half = name.partition(", ")
        peer = f"diffusers, {half}" if half else "diffusers"
        told, held = _ratio(seconds[peer], seconds[name], BARS["torch" if engine == "ours" else "engine"])
        yield (
            f"- Network of {step['parameters'] / 1e6:.0f}M parameters, {_named(name)}: a step {told} times as fast as "
            f"diffusers'{' in 16 bits too' if half else ''}; at least {BARS['torch' if engine == 'ours' else 'engine']:g}: "
            f"**{held}**"
        )


def _small(small: Facts) -> Iterator[str]:
    teacher = small["teacher"]
    yield "## A small model"
    yield ""
    yield (
        f"Fréchet distance in the pinned features, {small['n']:,} pictures from the same noise against the 60,000 of the "
        f"data (real against real {teacher['floor']:.3f}). The mark is {FACTOR} times the teacher's. Ways are looked at on "
        f"{GLANCE} pictures first, and measured in full where those are as near. Speed is of whole calls for a batch of "
        f"{small['batch']}, threads: {small['threads']}, {len(small['speed']['ours'])} rounds in turn; the median and range."
    )
    yield ""
    yield "| | calls | distance | 95% interval | over the teacher's | the same, other noise | pictures/s | range |"
    yield "|---|---|---|---|---|---|---|---|"
    yield _row("teacher: Heun, 25 steps", 49, teacher, small, "teacher", None)
    for side, names in (("diffusers", ["diffusers"]), ("ours", ["ours", "ours, engine"])):
        winner = small["winners"][side]
        found = _full(small, side)[winner["calls"]][winner["way"]]
        for name in names:
            yield _row(f"{name}: {winner['way']}", winner["calls"], found, small, side, small["speed"][name])
    yield ""
    yield "The nearest way at each number of calls, with its distance where it was measured in full:"
    yield ""
    yield "| calls | diffusers | ours |"
    yield "|---|---|---|"
    for calls in range(min(each.start for each in CALLS.values()), max(each.stop for each in CALLS.values())):
        told = [_nearest(small, side, calls) for side in CALLS]
        if any(told):
            yield f"| {calls} | {' | '.join(one or '–' for one in told)} |"
    yield ""
    spent = ", ".join(f"{seconds:.0f} s for {steps} calls" for steps, seconds in small["learning"].items())
    tried = {side: len({row["way"] for row in rows}) for side, rows in small["searched"].items()}
    yield (
        f"{tried['diffusers']} samplers of diffusers and {tried['ours']} of ours were tried, grids counted. Learning a "
        f"solver, its teacher's samples included, took {spent}. {_engine(small['gain'])}"
    )


def _engine(gain: Facts | None) -> str:
    if gain is None:
        return "No engine was faster than torch."
    return f"The engine is {gain['engine']}; answers differ from torch's by {gain['difference']:.0e} of the largest at most."


def _row(name: str, calls: int, found: Facts, small: Facts, side: str, speed: list[float] | None) -> str:
    whole, other = small["teacher"]["value"], small["confirmed"]
    shown = "– | –" if speed is None else f"{median(speed):.1f} | {min(speed):.1f} to {max(speed):.1f}"
    return (
        f"| {name} | {calls} | {found['value']:.3f} | {found['low']:.3f} to {found['high']:.3f} "
        f"| {found['value'] / whole:.2f} | {other[side]['value'] / other['teacher']['value']:.2f} | {shown} |"
    )


def _full(small: Facts, side: str) -> dict[int, dict[str, Facts]]:
    """What was measured in full, by calls and way."""
    found: dict[int, dict[str, Facts]] = {}
    for row in small["searched"][side]:
        if row["n"] == small["n"]:
            found.setdefault(row["calls"], {})[row["way"]] = row
    return found


def _nearest(small: Facts, side: str, calls: int) -> str:
    """The nearest way, of those measured in full if there are any; empty where nothing was tried."""
    if whole := _full(small, side).get(calls):
        best = min(whole.values(), key=lambda row: float(row["value"]))
        return f"{best['way']}: {best['value']:.3f}"
    rows = [row for row in small["searched"][side] if row["calls"] == calls]
    return str(min(rows, key=lambda row: float(row["value"]))["way"]) if rows else ""


def _step(step: Facts) -> Iterator[str]:
    rounds = len(step["seconds"]["diffusers"])
    yield "## A network of Stable Diffusion's size"
    yield ""
    yield (
        f"Random weights, {step['parameters'] / 1e6:.0f}M parameters; one latent of 4 x 64 x 64 under guidance, 77 tokens, "
        f"DDIM, threads: {step['threads']}. {rounds} rounds in turn; a figure is the median over rounds, the range theirs. "
        f"In float32 latents differ by {step['apart']:.0e} of the largest value at most."
    )
    yield ""
    yield "| | seconds a step | range | times as fast | range |"
    yield "|---|---|---|---|---|"
    seconds = {name: _middles(found) for name, found in step["seconds"].items()}
    for name, found in seconds.items():
        ratios = [theirs / own for theirs, own in zip(seconds["diffusers"], found, strict=True)]
        yield (
            f"| {_named(name)} | {median(found):.2f} | {min(found):.2f} to {max(found):.2f} | {median(ratios):.2f} "
            f"| {min(ratios):.2f} to {max(ratios):.2f} |"
        )
    for name, gain in step["gains"].items():
        yield ""
        yield (
            f"Answers of {_named(name)} differ from torch's by {gain['difference']:.0e} of the largest; preparing it took "
            f"{gain['preparing']:.0f} s."
        )


def _named(name: str) -> str:
    engine, comma, half = name.partition(", ")
    return {"packed": "ours, packed weights", "onnx": "ours, ONNX Runtime"}.get(engine, engine) + comma + half


def _middles(rounds: list[list[float]]) -> list[float]:
    """The median step of each round."""
    return [median(steps) for steps in rounds]


def _ratio(above: list[float], below: list[float], bar: float) -> tuple[str, str]:
    """The median of round by round ratios with its range, and whether it reaches the bar."""
    ratios = [one / other for one, other in zip(above, below, strict=True)]
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})", "yes" if median(ratios) >= bar else "NO"
