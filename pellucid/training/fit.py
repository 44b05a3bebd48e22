"""A run that fits its minutes: what is left open is chosen by this machine's speed and by what recorded runs came to.

Open are the network's size where nobody and no recipe set anything of it, the batch where nobody set it, the resolution of
pictures where nobody asked for one, and what is held out. All of it is settled before the first step and stands in the run's
config.toml, so that a run which resumes chooses nothing. Chosen is what is expected to have the least held-out loss (see
`expected`) after as many samples as there is time for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from pellucid.data.held_out import LEAST, share_of
from pellucid.evaluation.held_out import measurable
from pellucid.evaluation.limits import linear_losses
from pellucid.evaluation.wording import duration, figure, short
from pellucid.training.budget import Budget
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.expected import Expected, Law, laws
from pellucid.training.loop import assemble
from pellucid.training.measure import OVERHEAD, SHARE, affordable
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.stages import codec_learns

Tell = Callable[[str, str], None]

HELD_OUT, SPARE = 0.05, 20
"""The share of the data that is held out, where there are as many times LEAST samples."""
SIZES, BATCHES = ("tiny", "small", "base"), (16, 64)
TRIED, STEPS = 0.04, 4
"""The share of the minutes in which speeds are measured, and steps by which one is, the first not counted."""
LOOKED, STEPS_OF_SAMPLING = 64, 20
"""Samples of the first look, and steps by which they are drawn where nothing else is said."""
FEWEST, SMALLEST = 20_000, 32
"""Samples that there should be time for, else pictures are halved, and the longer side below which they are not."""


@dataclass(frozen=True, kw_only=True)
class Speed:
    """Of a configuration: samples per second in training, and its parameters."""

    config: RunConfig
    rate: float
    parameters: int


def fit(config: RunConfig, prepared: Prepared, folder: Path, device: str, fixed: Sequence[str], tell: Tell) -> Budget:
    """Settle what is open.

    Arguments:
        folder: of the pack, made anew where the resolution changes.
        fixed: keys of settings that somebody gave.
        tell: shows a line under a name.
    """
    began, minutes = perf_counter(), config.training.minutes
    assert minutes is not None
    config = _holding_out(config, len(prepared.pack))
    if codec_learns(config, prepared.facts) or config.denoiser.get("sketch"):  # stages whose speed is another
        after = 60 * SHARE * minutes if config.training.evaluate else 0.0
        return Budget(config=config, prepared=prepared, after=after, event={"minutes": minutes}, lines={}, tell=tell)
    first = speed(config, prepared, device)
    if "data.size" not in fixed:
        config, prepared, first = _at_a_size(first, prepared, folder, device, 60 * minutes)
    law, speeds = _law(config, prepared), [first]
    if law is not None and "training.batch" not in fixed:
        speeds += [speed(other, prepared, device) for other in _batches(config)]
    likeliest = first if law is None else min(speeds, key=lambda one: _middle(law, one, 60 * minutes))
    for other in () if law is None or any(key.startswith("network.") for key in fixed) else _sizes(likeliest.config):
        if perf_counter() - began > 60 * TRIED * minutes or speeds[-1].rate * 60 * minutes < FEWEST:
            break
        speeds.append(speed(other, prepared, device))
    after = _after(config, first, minutes)
    seconds = 60 * minutes - (perf_counter() - began) - after
    best = first if law is None else min(speeds, key=lambda one: _middle(law, one, seconds))
    samples = max(float(best.config.training.batch), best.rate * seconds)
    lines = {"plan": _told(best, samples, len(prepared.whole), minutes)}
    event: dict[str, Any] = {"minutes": minutes, "planned": samples, "rate": best.rate, "parameters": best.parameters}
    expected = _expected(best, prepared, law, samples, device)
    if expected is not None:
        lines["expected"] = wording(expected)
        event |= {"loss": expected.loss, "low": expected.low, "high": expected.high, "linear": expected.linear}
    return Budget(config=best.config, prepared=prepared, after=after, event=event, lines=lines, tell=tell)


def speed(config: RunConfig, prepared: Prepared, device: str) -> Speed:
    """Measured in a few steps of training, which are thrown away."""
    model, state, batches = assemble(config, prepared, device)
    seconds = []
    for step in range(STEPS):
        began, size = perf_counter(), config.training.batch
        state.optimiser.zero_grad(set_to_none=True)
        for part in batches(step * size, size).split(config.training.micro_batch or size):
            (state.loss(*part.arguments).weighted.sum() / size).backward()
        state.optimiser.step()
        seconds.append(perf_counter() - began)
    parameters = sum(p.numel() for p in model.denoiser.parameters())
    return Speed(config=config, rate=size / median(seconds[1:]), parameters=parameters)


def wording(expected: Expected) -> str:
    """For people."""
    loss, low, high, linear = (figure(value) for value in (expected.loss, expected.low, expected.high, expected.linear))
    return f"held-out loss {loss} (80%: {low} to {high}); a linear denoiser has {linear}, the less the better"


def _holding_out(config: RunConfig, count: int) -> RunConfig:
    if config.training.held_out is not None:
        return config
    wanted = share_of(count, HELD_OUT) if count >= SPARE * LEAST else 0
    return apply_settings(config, [f"training.held_out={wanted}"])


def _at_a_size(
    first: Speed, prepared: Prepared, folder: Path, device: str, seconds: float
) -> tuple[RunConfig, Prepared, Speed]:
    """Pictures halved until there is time for FEWEST of them."""
    side = max(prepared.facts.shape[1:])
    pictures = prepared.kind["name"] == "image" and prepared.stream is None  # which would have to be read all again
    while pictures and first.rate * seconds < FEWEST and side // 2 >= SMALLEST:
        side //= 2
        config = apply_settings(first.config, [f"data.size={side}"])
        prepared = prepare(config, folder)
        first = speed(config, prepared, device)
    return first.config, prepared, first


def _batches(config: RunConfig) -> Iterator[RunConfig]:
    yield from (apply_settings(config, [f"training.batch={size}"]) for size in BATCHES if size != config.training.batch)


def _sizes(config: RunConfig) -> Iterator[RunConfig]:
    if config.network == RunConfig().network:
        yield from (apply_settings(config, [f"network.size={size}"]) for size in SIZES[1:])


def _law(config: RunConfig, prepared: Prepared) -> Law | None:
    return laws().get(prepared.kind["name"]) if config.denoiser["name"] == "regression" else None


def _middle(law: Law, one: Speed, seconds: float) -> float:
    return law.middle(max(1.0, one.rate * seconds), one.parameters, one.config.training.batch)


def _after(config: RunConfig, first: Speed, minutes: float) -> float:
    """Seconds for the first look, of whose samples a step is about a third of one of training, and for evaluation."""
    one = int(config.sampling.get("steps", STEPS_OF_SAMPLING)) / (3 * first.rate)
    measured = affordable(60 * minutes, OVERHEAD * one) if config.training.evaluate else 0
    return LOOKED * one + measured * OVERHEAD * one


def _told(best: Speed, samples: float, count: int, minutes: float) -> str:
    passes = samples / count
    return (
        f"{best.config.network.get('size', best.config.network['name'])} network of {short(best.parameters)} parameters, "
        f"batches of {best.config.training.batch}, about {figure(round(samples, -3))} samples in {duration(60 * minutes)} "
        f"({figure(passes, 2)} times the data)"
    )


def _expected(best: Speed, prepared: Prepared, law: Law | None, samples: float, device: str) -> Expected | None:
    model = assemble(best.config, prepared, device)[0]
    if law is None or model.codec.learned or not measurable(model):
        return None
    losses = linear_losses(model, prepared.pack)
    linear, held = float(losses.mean()), best.config.training.held_out or len(prepared.pack)
    error = float(losses.std()) / linear / held**0.5
    return Expected.of(law, linear, samples, best.parameters, best.config.training.batch, error=error)
