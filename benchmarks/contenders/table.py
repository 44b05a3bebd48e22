"""The record: what each contender's pictures are worth, and what it cost to reach a peer's."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from resume import machine
from safetensors import safe_open

from contenders.field import FIELD
from pellucid.evaluation.fashion import FashionFeatures
from pellucid.metrics.kernel import Kernel
from pellucid.metrics.result import Result

SHARE, FASTER = 1 / 20, 1.5
"""The bars: our cost of reaching a peer's quality as a share of the peer's, and our speed on the peer's network."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """The pictures of one contender at one cost, out of a training of `minutes`."""

    name: str
    minutes: float
    cost: float
    samples: int
    distance: Result


def as_markdown(folder: Path, real: NDArray[np.uint8], *, resamples: int) -> str:
    """Everything that `folder` holds, against these real pictures."""
    speeds = json.loads((folder / "speed.json").read_text(encoding="utf-8"))
    rows = _rows(folder, speeds, real, resamples)
    return "\n".join([
        "# Against peers",
        "",
        *_claims(rows, speeds),
        "",
        f"Kernel distance in the pinned features, to {len(real):,} of the training pictures; 25 steps of DDIM from averaged "
        "weights. Cost is samples times the median seconds per sample. A contender is a recipe on its own network; -network "
        "is our recipe on the peer's network, -recipe the peer's recipe on ours.",
        "",
        "| contender | training, minutes of cost | cost at this point | samples seen | kernel distance | 95% interval "
        "| real against real | pictures |",
        "|---|---|---|---|---|---|---|---|",
        *map(_told, rows),
        *_missing(rows),
        "",
        "Speed of whole steps, data to averaged weights, everybody in turn:",
        "",
        "| contender | batch | parameters | samples/s | range |",
        "|---|---|---|---|---|",
        *(_speed(name, speed) for name, speed in speeds.items()),
        "",
        "- commands: in the docstring of benchmarks/peers.py",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        "",
    ])  # fmt: skip


def _rows(folder: Path, speeds: dict[str, Any], real: NDArray[np.uint8], resamples: int) -> list[Row]:
    network, metric = FashionFeatures.load(), Kernel(resamples=resamples)
    features = network.features(_in_range(real))
    rows = []
    for place in sorted(path for name in FIELD for path in folder.glob(f"{name}/*/samples/*") if path.is_dir()):
        minutes, name = place.parents[1].name, place.parents[2].name
        drawn = np.concatenate([np.load(path) for path in sorted(place.glob("[0-9]*.npy"))])
        with safe_open(place.parents[1] / "weights" / f"{place.name}.safetensors", framework="pt") as file:
            samples = int(file.metadata()["seen"])
        cost = samples * median(speeds[name]["seconds"]) / 60
        distance = metric(features, network.features(_in_range(drawn)))
        rows.append(Row(name=name, minutes=float(minutes), cost=cost, samples=samples, distance=distance))
        print(rows[-1], flush=True)
    return sorted(rows, key=lambda row: (list(FIELD).index(row.name), row.minutes, row.cost))


def _claims(rows: list[Row], speeds: dict[str, Any]) -> list[str]:
    claims = []
    for peer in ("diffusers", "ddpm"):
        ends = [row for row in rows if row.name == peer]
        if ends:
            claims.append(_cost_claim(ends[-1], [row for row in rows if row.name == "pellucid"]))
        if peer in speeds and f"{peer}-network" in speeds:
            theirs, ours = (median(speeds[name]["seconds"]) for name in (peer, f"{peer}-network"))
            held = "yes" if theirs / ours >= FASTER else "NO"
            claims.append(
                f"- On the network of {peer}, our loop trains {theirs / ours:.2f} times as many samples a second as theirs; "
                f"at least {FASTER:g}: **{held}**"
            )
    return claims


def _cost_claim(theirs: Row, ours: list[Row]) -> str:
    """Our cheapest model as good as the peer's at the end of its longest training."""
    good = [row for row in ours if row.distance.value <= theirs.distance.value]
    told = f"{theirs.distance.value:.3f} of {theirs.name} at {theirs.cost:.1f} minutes' cost"
    if not good:
        return f"- The kernel distance {told} was not reached: **NO**"
    best = min(good, key=lambda row: row.cost)
    held = "yes" if best.cost <= SHARE * theirs.cost else "NO"
    return (
        f"- The kernel distance {told} was reached by ours at {best.cost:.1f} ({best.distance.value:.3f}), "
        f"1/{theirs.cost / best.cost:.0f} of it; at most 1/{1 / SHARE:.0f}: **{held}**"
    )


def _told(row: Row) -> str:
    found = row.distance
    floor = "–" if found.floor is None else f"{found.floor:.4f}"
    return (
        f"| {row.name} | {row.minutes:g} | {row.cost:.1f} | {row.samples:,} | {found.value:.3f} "
        f"| {found.low:.3f} to {found.high:.3f} | {floor} | {found.n:,} |"
    )


def _missing(rows: list[Row]) -> list[str]:
    """Who has no pictures yet, as a sentence."""
    names = [name for name in FIELD if name not in {row.name for row in rows} and not name.startswith("pellucid-")]
    return ["", f"Not trained yet: {', '.join(names)}."] if names else []


def _speed(name: str, speed: dict[str, Any]) -> str:
    each = speed["seconds"]
    return (
        f"| {name} | {speed['batch']} | {speed['parameters'] / 1e6:.1f}M | {1 / median(each):.1f} "
        f"| {1 / max(each):.1f} to {1 / min(each):.1f} |"
    )


def _in_range(pictures: NDArray[np.uint8]) -> torch.Tensor:
    """(N, 1, 28, 28) in [-1, 1]."""
    return torch.from_numpy(pictures).unsqueeze(1).float() / 127.5 - 1
