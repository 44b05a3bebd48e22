"""The training loop."""

import json
import platform
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

import torch
from torch.nn.utils import clip_grad_norm_

from pellucid.core.config import build
from pellucid.core.errors import ConfigError, InterruptedRunError, UnsupportedError
from pellucid.core.files import atomic_write
from pellucid.core.random import Key
from pellucid.denoisers.regression import Regression
from pellucid.losses import times, weightings
from pellucid.losses.denoising import DenoisingLoss
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training import optimisers
from pellucid.training.batches import Batch, Batches
from pellucid.training.config import NAME as CONFIG
from pellucid.training.config import RunConfig, load_config
from pellucid.training.diagnosis import diverged
from pellucid.training.ema import averages
from pellucid.training.journal import Journal
from pellucid.training.plan import Plan, learning_rate_factor
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.state import TrainingState, checkpoints

FREE = {"samples", "minutes", "micro_batch", "checkpoint_minutes", "checkpoint_samples", "keep_checkpoints", "log_samples"}
"""Settings of `training` that may differ on resuming: they do not change what a step does."""


class Observer(Protocol):
    """Whoever shows how training goes."""

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        """Before the first step."""

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        """After each step."""


def train(
    config: RunConfig, out: Path | str, *, resume: bool = False, device: str = "cpu", observer: Observer | None = None
) -> Model:
    """Train a model; everything is written under `out`, and the model that is returned is what was saved there.

    Arguments:
        config: all settings; with `resume`, those of the run's own config.toml are used instead.
        out: the run's folder; new or empty unless resuming.
        resume: go on from the newest checkpoint, as if never stopped; from the start if there is none.
        device: "cpu", "cuda", "mps".
        observer: told before the start and after each step.

    Raises:
        UserError: data, settings or folder at fault, before anything is trained.
        DivergenceError: a loss or gradient was NaN or infinite; the last checkpoint is intact.
        InterruptedRunError: SIGINT or SIGTERM; a checkpoint was written.
    """
    folder = Path(out)
    config = _open_run(config, folder, resume)
    prepared = prepare(config, folder / "data")
    model = Model.create(config.model_part(), prepared.facts, config.seed)
    state, batches, settings = _assemble(config, prepared, model, device)
    identity = _identity(config, prepared)
    newest = checkpoints(folder / "checkpoints")
    if resume and newest:
        state.restore(newest[-1], identity)
    _write_summary(folder, config, prepared, model)
    journal = Journal(folder, state.seen)
    try:
        if observer is not None:
            observer.begin(prepared, model, state)
        _run(config, state, batches, settings, folder, identity, journal, observer)
        return _finish(config, prepared, model, state, folder, journal)
    finally:
        journal.close()


def _open_run(config: RunConfig, folder: Path, resume: bool) -> RunConfig:
    saved = folder / CONFIG
    if resume and saved.is_file():
        return load_config(saved)
    if not resume and saved.exists():
        raise ConfigError(f"'{folder}' already holds a run: add --resume to go on with it, or choose another --out")
    if config.training.samples is None and config.training.minutes is None:
        raise ConfigError("How long? Give --minutes M or --samples N")
    if not config.data.path:
        raise ConfigError("No data: expected the path of a folder or array file")
    config.save(saved)
    return config


def _assemble(
    config: RunConfig, prepared: Prepared, model: Model, device: str
) -> tuple[TrainingState, Batches, dict[str, Any]]:
    """State, batches, and what surrounds each forward pass."""
    if not isinstance(model.denoiser, Regression):
        name = type(model.denoiser).__name__
        raise UnsupportedError(f"{name} cannot be trained by regression: set denoiser.name = 'regression'")
    where, precision = torch.device(device), config.training.precision
    dtype = torch.float64 if precision == "float64" else torch.float32
    model.denoiser.process.check_prior(prepared.facts.std)
    loss = DenoisingLoss(denoiser=model.denoiser, weighting=build(weightings, config.loss.weighting))
    initialise(loss.weighting, Key(config.seed, "init weighting"))
    loss.to(where, dtype).train()
    model.codec.to(where, dtype)
    optimiser = build(optimisers, config.optimiser, parameters=list(loss.parameters()))
    training = config.training
    plan = Plan(batch=training.batch, samples=training.samples, minutes=training.minutes)
    state = TrainingState(loss, optimiser, averages(model.denoiser.state_dict(), training.ema), plan)
    batches = Batches(
        prepared.pack, prepared.modality, model.codec, model.denoiser.process, build(times, config.loss.times), config.seed,
        bool(prepared.facts.labels), config.loss.drop_condition, where, dtype,
    )  # fmt: skip
    half = precision == "bfloat16" or (precision == "auto" and where.type == "cuda" and torch.cuda.is_bf16_supported())
    return state, batches, {"device_type": where.type, "dtype": torch.bfloat16, "enabled": half}


def _run(
    config: RunConfig, state: TrainingState, batches: Batches, autocast: dict[str, Any], folder: Path, identity: str,
    journal: Journal, observer: Observer | None,
) -> None:  # fmt: skip
    training, plan = config.training, state.plan
    base = [float(group["lr"]) for group in state.optimiser.param_groups]
    saved_at, saved_seen, logged, rate, pending = monotonic(), state.seen, state.seen, 0.0, []
    with _signals() as stop:
        while plan.total is None or state.seen < plan.total:
            started = monotonic()
            factor = learning_rate_factor(
                state.seen, plan.progress(state.seen), warmup=training.warmup, decay=training.decay
            )
            for group, rate_0 in zip(state.optimiser.param_groups, base, strict=True):
                group["lr"] = rate_0 * factor
            value, norm = _step(state, batches(state.seen, training.batch), training.micro_batch, training.clip, autocast)
            state.seen += training.batch
            state.step += 1
            for average in state.averages:
                average.update(state.loss.denoiser.state_dict(), state.step)
            seconds = monotonic() - started
            rate = training.batch / seconds if rate == 0 else 0.95 * rate + 0.05 * training.batch / seconds
            pending.append(value)
            if plan.tick(state.seen, seconds, rate):
                journal.write("plan", state.seen, total=plan.total, minutes=plan.minutes, samples_per_second=rate)
            if observer is not None:
                observer.step(state, value, rate)
            if state.seen - logged >= training.log_samples:
                journal.write(
                    "train", state.seen, loss=sum(pending) / len(pending), gradient_norm=norm,
                    learning_rate=base[0] * factor, samples_per_second=rate,
                )  # fmt: skip
                logged, pending = state.seen, []
            due = state.seen - saved_seen >= training.checkpoint_samples if training.checkpoint_samples else (
                monotonic() - saved_at >= 60 * training.checkpoint_minutes
            )
            if due or stop:
                path = state.save(folder / "checkpoints", training.keep_checkpoints, identity)
                journal.write("checkpoint", state.seen, path=path.name)
                saved_at, saved_seen = monotonic(), state.seen
            if stop:
                raise InterruptedRunError(
                    f"Stopped by {stop[0]} after {state.seen} samples; everything is saved. Go on with --resume"
                )


def _step(
    state: TrainingState, batch: Batch, micro: int | None, clip: float, autocast: dict[str, Any]
) -> tuple[float, float]:
    """One optimiser step; returns the mean loss and the gradient's norm."""
    size, total = len(batch.ids), 0.0
    state.optimiser.zero_grad(set_to_none=True)
    for part in batch.split(micro or size):
        with torch.autocast(**autocast) if autocast["enabled"] else nullcontext():
            loss = state.loss(part.x0, part.t, part.eps, part.cond).weighted.sum() / size
        loss.backward()
        total += float(loss.detach())
    norm = float(clip_grad_norm_(state.loss.parameters(), clip))
    if not (abs(total) < float("inf") and norm < float("inf")):
        raise diverged(state.loss, batch, state.seen, float(state.optimiser.param_groups[0]["lr"]), norm)
    state.optimiser.step()
    return total, norm


def _finish(
    config: RunConfig, prepared: Prepared, model: Model, state: TrainingState, folder: Path, journal: Journal
) -> Model:
    """Save the last checkpoint and the averaged model."""
    state.save(folder / "checkpoints", config.training.keep_checkpoints, _identity(config, prepared))
    if state.averages:
        model.denoiser.load_state_dict(state.averages[0].average)
    model.card = {
        "samples_seen": state.seen, "steps": state.step, "data": prepared.pack.content, "data_count": len(prepared.pack),
        "minutes": round(state.plan.elapsed / 60, 2), "seed": config.seed,
    }  # fmt: skip
    model.denoiser.eval().requires_grad_(False)
    model.save(folder)
    journal.write("end", state.seen, minutes=state.plan.elapsed / 60)
    return model


def _identity(config: RunConfig, prepared: Prepared) -> str:
    """A hash of what makes a run what it is: all settings but how long, how often to save, and where the data lies."""
    values = config.model_dump(mode="json", exclude={"training": FREE, "data": {"path"}, "sampling": True})
    return sha256(json.dumps([values, prepared.pack.content], sort_keys=True).encode()).hexdigest()


def _write_summary(folder: Path, config: RunConfig, prepared: Prepared, model: Model) -> None:
    """RUN/summary.json: what the report says of data, network and machine."""
    pack = prepared.pack
    summary = {
        "command": shlex.join(["pellucid", *sys.argv[1:]]),
        "data": {
            "path": config.data.path, "samples": len(pack), "shape": list(pack.shape), "labels": pack.label_counts(),
            "rejected": len(pack.rejections()), "mean": prepared.facts.mean, "std": prepared.facts.std,
        },
        "network": {**config.network, "parameters": sum(p.numel() for p in model.denoiser.parameters())},
        "hardware": {"machine": platform.machine(), "threads": torch.get_num_threads(), "torch": torch.__version__},
    }  # fmt: skip
    with atomic_write(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")


@contextmanager
def _signals() -> Iterator[list[str]]:
    """A list that names the signal once SIGINT or SIGTERM came; a second one acts as usual."""
    caught: list[str] = []

    def handle(number: int, _frame: object) -> None:
        caught.append(signal.Signals(number).name)
        signal.signal(number, before[signal.Signals(number)])

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = {number: signal.signal(number, handle) for number in numbers}
    except ValueError:  # not the main thread: whoever owns the process handles its signals
        yield caught
        return
    try:
        yield caught
    finally:
        for number in numbers:
            signal.signal(number, before[number])
