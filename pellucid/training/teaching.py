"""The stage before consistency tuning: pairs of noise and what the model that is tuned makes of it.

    RUN/pairs.safetensors
"""

from math import inf
from pathlib import Path
from time import perf_counter

import torch
from safetensors import SafetensorError, safe_open

from pellucid.core.config import build
from pellucid.losses.pairs import Pairs
from pellucid.model.files import write_tensors
from pellucid.model.model import Model
from pellucid.samplers import grids, samplers
from pellucid.training.batches import Batches
from pellucid.training.config import RunConfig
from pellucid.training.observer import Observer
from pellucid.training.solver import TEACHER, as_sampled

NAME = "pairs.safetensors"
STEPS = 8
"""Of Heun's method, 15 network calls: nearer to 25 steps than other solvers in as many, or learned ones in 10 (LOG.md)."""
MOST, BYTES = 24_576, 2**29
"""Pairs, and what they may take of memory."""
SHARE = 0.3
"""Of the minutes."""
CHUNK = 128
EVERY = 15.0
"""Seconds between two words of how far it is."""


def learn_pairs(
    config: RunConfig, teacher: Model, batches: Batches, folder: Path, identity: str,
    observer: Observer | None = None,
) -> tuple[Pairs, float]:  # fmt: skip
    """Pairs with the conditions that training would see, and the seconds that they took; drawn before, read again.

    As many as training has samples, at most `MOST`; where it has minutes, as many as there are in `SHARE` of them.
    """
    path = folder / NAME
    if (known := _read(path, identity)) is not None:
        return known
    began = perf_counter()
    _tell(observer, "teacher", f"drawing what is learned from, by {TEACHER} in {STEPS} steps")
    pairs = _drawn(config, teacher, batches, observer)
    seconds = perf_counter() - began
    _tell(observer, "pairs", f"{len(pairs):,} of noise and what becomes of it, in {seconds:.0f} s")
    conditions = {f"cond.{name}": value for name, value in pairs.cond.items()}
    write_tensors(path, {"x": pairs.x, "made": pairs.made, **conditions}, {"identity": identity, "seconds": repr(seconds)})
    return pairs, seconds


@torch.no_grad()
def _drawn(config: RunConfig, teacher: Model, batches: Batches, observer: Observer | None) -> Pairs:
    training, process, asked = config.training, teacher.denoiser.process, teacher.facts.labels or teacher.facts.captions
    times = process.snap(build(grids, {"name": process.schedule.grid})(process.schedule, STEPS))
    sampler, denoiser = samplers[TEACHER](), as_sampled(teacher, asked=bool(asked)).to(batches.dtype)
    size = 8 * batches(0, 1).x0[0].numel()
    most = min(MOST, max(CHUNK, BYTES // size), training.samples or MOST)
    budget = inf if training.minutes is None else 60 * SHARE * training.minutes
    parts, began, told = list[Pairs](), perf_counter(), perf_counter()
    for first in range(0, most, CHUNK):
        batch = batches(first, min(CHUNK, most - first))
        x = process.prior(batch.eps, mean=teacher.facts.mean, std=teacher.facts.std)
        halves = training.precision == "bfloat16"
        with torch.autocast(x.device.type, torch.bfloat16, enabled=halves):
            made = sampler.sample(denoiser, x, times, cond=batch.cond or None)
        parts.append(Pairs(x.cpu(), {name: value.cpu() for name, value in batch.cond.items()}, made.to(x).cpu()))
        now, done = perf_counter(), (first + len(x)) / most
        if now - began > budget:
            break
        if now - told > EVERY:
            left = min((now - began) * (1 - done) / done, budget - now + began)
            _tell(observer, "pairs", f"{first + len(x):,}, {left:.0f} s left")
            told = now
    conditions = {name: torch.cat([part.cond[name] for part in parts]) for name in parts[0].cond}
    return Pairs(torch.cat([part.x for part in parts]), conditions, torch.cat([part.made for part in parts]))


def _read(path: Path, identity: str) -> tuple[Pairs, float] | None:
    """None where there are none, or others, or damaged ones, which are drawn anew."""
    try:
        with safe_open(path, framework="pt") as opened:
            facts = opened.metadata() or {}
            found = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (OSError, SafetensorError):
        return None
    if facts.get("identity") != identity:
        return None
    conditions = {name.removeprefix("cond."): value for name, value in found.items() if name.startswith("cond.")}
    return Pairs(found["x"], conditions, found["made"]), float(facts["seconds"])


def _tell(observer: Observer | None, name: str, text: str) -> None:
    tell = getattr(observer, "tell", None)
    if tell is not None:
        tell(name, text)
