"""The small model on both sides: the fewest calls that are near enough to the teacher, and pictures per second in them."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from pellucid.core.files import atomic_write
from pellucid.interop.engine import Gain
from sides.search import Distance, Search
from sides.theirs import peers
from sides.ways import Ours, Settings, Theirs

CALLS = {"diffusers": range(6, 31), "ours": range(3, 17)}
CONFIRMED = 1
"""Seed of the noise by which nothing was chosen."""


def measure(folder: Path, data: Path, out: Path, *, n: int, rounds: int, batch: int) -> dict[str, Any]:
    """Everything, into `out`; distances that are there already are not measured again, speed always is."""
    facts: dict[str, Any] = json.loads(out.read_text(encoding="utf-8")) if out.is_file() else {}
    if "confirmed" not in facts:
        facts = distances(folder, Distance(data), out, n, facts.get("searched", {}) if facts.get("n") == n else {})
        _keep(facts, out)
    facts["speed"], gain = speed(folder, facts["winners"], rounds, batch)
    facts |= {"batch": batch, "threads": torch.get_num_threads(), "gain": gain and asdict(gain)}
    _keep(facts, out)
    return facts


def distances(folder: Path, distance: Distance, out: Path, n: int, searched: dict[str, Any]) -> dict[str, Any]:
    """Both sides' winners, both searches, and distances from other noise. The fastest engine runs the network on both sides.

    `searched` is how far a search of the same pipeline had come.
    """
    theirs, ours = Theirs(folder), Ours(folder)
    facts: dict[str, Any] = {"n": n, "searched": searched, "winners": {}}
    ours.accelerate()
    theirs.run_by(ours.network())
    features = distance.features(ours.draw(ours.teacher(), n, 0))
    facts["teacher"] = distance(features, 50)
    for side, ways in (("diffusers", theirs.ways()), ("ours", ours.ways())):
        rows = facts["searched"][side] = list[dict[str, Any]](searched.get(side, ()))
        known = {(row["way"], row["calls"], row["n"]): float(row["value"]) for row in rows}

        def tell(row: dict[str, Any], rows: list[dict[str, Any]] = rows, side: str = side) -> None:
            rows.append(row)
            print(side, json.dumps(row), flush=True)
            _keep(facts, out)

        found = Search(distance=distance, teacher=features, seed=0, tell=tell, known=known).fewest(ways, CALLS[side])
        if found is None:
            raise SystemExit(f"{side}: no way reaches the mark in at most {CALLS[side].stop - 1} calls")
        facts["winners"][side] = {"way": found[0], "calls": found[1]}
    own = facts["winners"]["ours"]
    own["settings"] = ours.settings(own["way"], own["calls"])
    facts["learning"] = ours.seconds
    facts["confirmed"] = _confirmed(theirs, ours, distance, facts["winners"], n)
    return facts


def _confirmed(theirs: Theirs, ours: Ours, distance: Distance, winners: dict[str, Any], n: int) -> dict[str, Any]:
    """Distances of the teacher and of both winners, from noise by which none of them was chosen."""
    peer = peers()[winners["diffusers"]["way"]]
    made = {
        "teacher": ours.draw(ours.teacher(), n, CONFIRMED),
        "diffusers": theirs.draw(peer, winners["diffusers"]["calls"], n, CONFIRMED),
        "ours": ours.draw(winners["ours"]["settings"], n, CONFIRMED),
    }
    return {name: distance(distance.features(drawn), 50) for name, drawn in made.items() if drawn is not None}


def speed(
    folder: Path, winners: dict[str, Any], rounds: int, batch: int
) -> tuple[dict[str, list[float]], Gain | None]:
    """Pictures per second of whole calls in each round, everybody in turn, each once before the rounds; and the engine."""
    calls, gain = contenders(folder, winners, batch)
    found: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(1 + rounds):
        for name, call in calls.items():
            began = perf_counter()
            call()
            if turn:
                found[name].append(batch / (perf_counter() - began))
    return found, gain


def contenders(folder: Path, winners: dict[str, Any], batch: int) -> tuple[dict[str, Callable[[], Any]], Gain | None]:
    """Calls that draw a batch: diffusers' winner by torch, ours by torch and by the fastest engine, and what that is."""
    theirs, plain, engine = Theirs(folder), Ours(folder), Ours(folder)
    gain = engine.accelerate()
    peer, steps = peers()[winners["diffusers"]["way"]], _steps(winners["diffusers"])
    settings: Settings = winners["ours"]["settings"]
    calls: dict[str, Callable[[], Any]] = {
        "diffusers": lambda: theirs.pictures(peer, steps, torch.randn(batch, *theirs.shape)),
        "ours": lambda: plain.model.sample(batch, batch=batch, **settings),
        "ours, engine": lambda: engine.model.sample(batch, batch=batch, **settings),
    }
    return calls, gain


def _steps(winner: dict[str, Any]) -> int:
    steps = peers()[winner["way"]].steps(winner["calls"])
    assert steps is not None
    return steps


def _keep(facts: dict[str, Any], out: Path) -> None:
    with atomic_write(out) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")
