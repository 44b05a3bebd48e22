"""A run from its configuration to its model: parts are put together, trained step by step, and saved."""

import json
import os
import platform
import shlex
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from pellucid.codecs.identity import Identity
from pellucid.conditioners.caption import Caption
from pellucid.conditioners.reader import Reader
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.files import atomic_write, clear_temporaries
from pellucid.core.lock import locked
from pellucid.denoisers.consistency import Consistency
from pellucid.evaluation.contents import contents, write_examples
from pellucid.evaluation.levels import measure_levels
from pellucid.evaluation.machine import processor
from pellucid.evaluation.outside import TYPICAL
from pellucid.losses.consistency import ConsistencyLoss
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.time import Times
from pellucid.model.assemble import check_sampling
from pellucid.model.config import Facts
from pellucid.model.model import Model
from pellucid.networks.low_rank import merge
from pellucid.training.augmentation import Augmentation
from pellucid.training.batches import Batches
from pellucid.training.budget import Fit
from pellucid.training.codec import begun, check_learning, encoded, learn_codec
from pellucid.training.conditions import Conditions
from pellucid.training.config import NAME as CONFIG
from pellucid.training.config import RunConfig, load_config, settled
from pellucid.training.forcing import forcing
from pellucid.training.journal import NAME as LOG
from pellucid.training.journal import SILENT, Journal
from pellucid.training.objective import build_loss, build_times
from pellucid.training.observer import Observer
from pellucid.training.optimiser import build_optimiser
from pellucid.training.pipeline import is_tuned, tunable
from pellucid.training.plan import Plan
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.ranks import ALONE, Ranks
from pellucid.training.reading import learn_to_read, reads, sketch_of
from pellucid.training.revealing import Revealing
from pellucid.training.stage import told
from pellucid.training.stages import codec_learns, denoiser_stage, has_unit_latents
from pellucid.training.standing import standing_of
from pellucid.training.start import START, keep_start, start_from
from pellucid.training.state import TrainingState, checkpoints
from pellucid.training.steps import Steps
from pellucid.training.teaching import learn_pairs
from pellucid.training.tracker import Start

FREE = {"checkpoint_minutes", "checkpoint_samples", "keep_checkpoints", "log_samples", "evaluate", "sharded"}
"""Settings of `training` that are no part of a run's identity: they do not change what a step does."""

FITTED = 20_000
"""Samples, spread over the data, by which such a denoiser is settled."""

LOOK_BACK = 0.05
"""Share of the training time in which the error at each noise level is measured afterwards."""


def run(
    config: RunConfig, out: Path | str, *, resume: bool = False, device: str = "cpu", observer: Observer | None = None,
    track: Start | None = None, fit: Fit | None = None, tell: Callable[[str, str], None] = lambda _name, _text: None,
    ranks: Ranks = ALONE,
) -> Model:  # fmt: skip
    """Train as `config` says; everything is written under `out`, and the model that is returned is what was saved there.

    Arguments:
        config: all settings; when resuming, those in the run's own config.toml are used, and only `data.path` may differ.
        out: the run's folder; new or empty unless resuming.
        resume: go on from the newest checkpoint that is whole, as if never stopped; from the start if there is none.
        device: "cpu", "cuda", "mps".
        observer: told before the start and after each step.
        track: starts the tracker that is told of the denoiser's training, beside TensorBoard.
        fit: settles what a new run of so many minutes leaves open.
        tell: shows a line under a name: a checkpoint that was damaged.
        ranks: who trains together, all with these arguments.

    Raises:
        UserError: data, settings or folder at fault, or another process at work in it, before anything is trained.
        DivergenceError: a loss or gradient was NaN or infinite; the last checkpoint is intact.
        InterruptedRunError: SIGINT, SIGTERM or SIGHUP; a checkpoint was written.
    """
    device = ranks.device(device)
    if not ranks.first:
        return _follow(Path(out), device, ranks)
    with locked(Path(out)):
        return _run(config, Path(out), resume, device, observer, track, fit, tell, ranks)


def _run(
    config: RunConfig, folder: Path, resume: bool, device: str, observer: Observer | None, track: Start | None,
    fit: Fit | None, tell: Callable[[str, str], None], ranks: Ranks,
) -> Model:  # fmt: skip
    since = perf_counter()
    new = not (folder / CONFIG).is_file()
    config = settled(_open_run(config, folder, resume), device)
    for place in (folder, folder / "checkpoints", folder / "pictures"):  # never deeper: other runs may lie there
        clear_temporaries(place)
    saved = folder / "checkpoints"
    again = resume and bool(checkpoints(saved))
    started = again or (resume and begun(folder / "codec"))
    prepared = prepare(config, folder / "data", started=started, tell=tell)
    config, budget = config.model_copy(update={"modality": prepared.kind}), None
    if fit is not None and new and config.training.minutes is not None:
        budget = fit(config, prepared, folder / "data")
        config, prepared = budget.config, budget.prepared
    model, state, batches = assemble(config, prepared, device, start=keep_start(config, folder), ranks=ranks)
    identity, sharded = _identity(config, prepared), config.training.sharded and ranks.size > 1
    aside = state.restore_newest(saved, identity) if again else []
    if budget is not None:
        state.plan.take(perf_counter() - since + budget.after)
    _check(config, prepared, model, state, ranks)
    tracker = None if track is None else track(folder, config)
    config.save(folder / CONFIG)  # not before here: what was refused leaves no run behind
    batches = _learn_before(config, prepared, model, state, batches, folder, identity, observer, again=again)
    _write_summary(folder, config, prepared, model)
    journal = Journal(folder, state.seen, tracker)
    try:
        for why in aside:
            journal.write("damaged", state.seen, why=why)
            tell("damaged", why)
        if observer is not None:
            observer.begin(prepared, model, state)
        if budget is not None:
            budget.announce()
            journal.write("budget", state.seen, **budget.event)
        standing = None if sharded else standing_of(config, model, prepared, folder / LOG)
        ranks.wait()  # for those who follow: all is settled
        steps = Steps(config.training, state, batches, saved, identity, journal, observer, standing, ranks=ranks)
        ranks.wait()  # they have read it
        steps.run()
        steps.save()
        ranks.leave()
        if sharded:  # all of it, of which so far some rows were here
            model, state, _ = assemble(config, prepared, device, start=keep_start(config, folder))
            state.restore_newest(saved, identity)
        if standing is not None:
            model.card[TYPICAL] = standing.end(state, journal)
        _finish(config, prepared, model, state, folder)
        journal.write("end", state.seen, minutes=state.plan.elapsed / 60)
        if "mean" in model.denoiser.offers and not model.facts.missing:  # the floor is of whole samples
            levels = measure_levels(model, prepared.pack, seconds=LOOK_BACK * state.plan.elapsed, seed=config.seed)
            journal.write("levels", state.seen, **levels.as_event())
    finally:
        journal.close()
    return model


def _check(config: RunConfig, prepared: Prepared, model: Model, state: TrainingState, ranks: Ranks) -> None:
    """Refuse what cannot be trained, or not so."""
    check_sampling(model.sampling(), model.denoiser, model.denoiser if config.training.weak else None)
    if model.codec.learned:
        check_learning(config, prepared, model)
    stages = model.codec.learned or reads(model) or isinstance(state.loss, ConsistencyLoss)
    if stages and prepared.stream is not None:
        raise UnsupportedError("data.stream trains a denoiser alone, not what goes before it (an autoencoder, a reader of "
                               "captions, a teacher's pairs): leave it out, and the data is packed")  # fmt: skip
    ranks.check(config, stages=stages, profile=isinstance(state.loss, DenoisingLoss) and state.loss.profile is not None)


def _follow(folder: Path, device: str, ranks: Ranks) -> Model:
    """Train along with the first rank, by what it has settled; nothing is written."""
    ranks.wait()
    config = load_config(folder / CONFIG)
    prepared = prepare(config, folder / "data", started=True, tell=lambda _name, _text: None)
    config = config.model_copy(update={"modality": prepared.kind})
    model, state, batches = assemble(config, prepared, device, start=keep_start(config, folder), ranks=ranks)
    identity, saved = _identity(config, prepared), folder / "checkpoints"
    state.restore_newest(saved, identity)
    steps = Steps(config.training, state, batches, saved, identity, SILENT, ranks=ranks)
    ranks.wait()
    steps.run()
    steps.save()
    ranks.leave()
    return model


def _learn_before(
    config: RunConfig, prepared: Prepared, model: Model, state: TrainingState, batches: Batches, folder: Path, identity: str,
    observer: Observer | None, *, again: bool,
) -> Batches:  # fmt: skip
    """The stages before the denoiser's, of those that there are: a codec, a reader of captions, pairs of a teacher."""
    stage = folder / "codec"
    if model.codec.learned:
        learn_codec(config, prepared, model, stage, identity, observer)
    plain = batches.augmentation == Augmentation() and prepared.stream is None
    if not isinstance(model.codec, Identity) and plain:  # else encoded as they come
        batches = replace(batches, latents=encoded(model, prepared.pack, stage, identity))
    if reads(model) and again:
        model.card["reading"] = told(folder / "reading")
    elif reads(model):
        learn_to_read(config, prepared, model, batches, folder / "reading", identity, observer)
        state.follow(config.training.ema)
    if isinstance(state.loss, ConsistencyLoss):
        teacher = Model.load(folder / START, device=str(model.device))
        state.loss.pairs, seconds = learn_pairs(config, teacher, batches, folder, identity, observer)
        state.plan.take(seconds)
        model.card["pairs"] = {"count": len(state.loss.pairs), "minutes": round(seconds / 60, 2)}
    return batches


def assemble(
    config: RunConfig, prepared: Prepared, device: str = "cpu", *, start: Path | None = None, ranks: Ranks = ALONE
) -> tuple[Model, TrainingState, Batches]:
    """The parts of a run at its start: what is trained, all that training remembers, and what it will see.

    Arguments:
        start: the file of the model that it goes out from.
        ranks: among whom it is parted, if that is asked for.

    Raises:
        UserError: settings at fault.
    """
    config = config.model_copy(update={"modality": prepared.kind})
    if is_tuned(config):
        model: Model = tunable(config, prepared)
    else:
        model = Model.create(config.model_part(), _facts(config, prepared.facts), config.seed)
    _fit(model, prepared)
    if start is not None:
        start_from(model, start, rank=config.training.rank, seed=config.seed)
    caption = model.conditioners.get("caption")
    if isinstance(caption, Caption):
        caption.learn_words(text for sample in range(len(prepared.whole)) for text in prepared.whole.captions(sample))
    times = build_times(config, model.denoiser)
    teacher = Model.load(start) if start is not None and isinstance(model.denoiser, Consistency) else None
    state = _assemble_state(config, model, times, torch.device(device), teacher, ranks)
    return model, state, _assemble_batches(config, prepared, model, times, state.loss.noises)


def _fit(model: Model, prepared: Prepared) -> None:
    """What codec and denoiser take from the data in closed form."""
    if not model.denoiser.fitted and not model.codec.fitted:
        return
    if model.codec.learned:
        raise ConfigError(f"{type(model.denoiser).__name__} is settled by data before anything is trained: without --latent")
    x = prepared.modality.decode(prepared.pack[prepared.pack.spread(FITTED)][0])
    model.codec.fit(x)
    if model.denoiser.fitted:
        model.denoiser.fit(model.codec.encode(x))


def _facts(config: RunConfig, facts: Facts) -> Facts:
    """Of what is diffused: the latents of a codec that learns or is settled by data have mean 0 and variance 1."""
    return facts.model_copy(update={"mean": 0.0, "std": 1.0}) if has_unit_latents(config, facts) else facts


def _open_run(config: RunConfig, folder: Path, resume: bool) -> RunConfig:
    """The settings to train with."""
    saved = folder / CONFIG
    if resume and saved.is_file():
        own = load_config(saved)
        path = config.data.path or own.data.path
        if not path:
            raise ConfigError(f"'{saved}' does not say where the data is: give its path")
        training = own.training.model_copy(update={"held_out": own.training.held_out or 0})
        return own.model_copy(update={"data": own.data.model_copy(update={"path": path}), "training": training})
    if saved.exists():
        raise ConfigError(f"'{folder}' already holds a run: add --resume to go on with it, or choose another --out")
    if resume and not (config.data.path and (config.training.samples or config.training.minutes)):
        raise ConfigError(f"There is no run in '{folder}' to go on with: it has no {CONFIG}")
    if config.training.samples is None and config.training.minutes is None:
        raise ConfigError("How long? Give --minutes M or --samples N")
    if not config.data.path:
        raise ConfigError("No data: expected the path of a folder or array file")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"The run's folder '{folder}' is a file: give another --out")
    _refuse_nested(folder, Path(config.data.path))
    return config


def _refuse_nested(folder: Path, data: Path) -> None:
    """A run inside a folder of pictures would be read as part of it when the run is resumed."""
    if data.is_dir() and folder.resolve().is_relative_to(data.resolve()) and not (data / "manifest.json").is_file():
        raise ConfigError(f"The run's folder '{folder}' lies inside the data '{data}': give an --out elsewhere")


def _assemble_state(
    config: RunConfig, model: Model, times: Times, device: torch.device, teacher: Model | None, ranks: Ranks
) -> TrainingState:
    """Everything that training remembers, at its start; the model moves to the device."""
    dtype = torch.float64 if config.training.precision == "float64" else torch.float32
    model.denoiser.process.check_prior(model.facts.std)
    parameters = model.denoiser.named_parameters()
    fixed = frozenset(n for n, p in parameters if n.startswith("network.") and not p.requires_grad)  # beside adapters
    loss = build_loss(config, model, times, teacher)
    if sketch_of(model) is not None:  # the reader has a stage of its own
        reader = model.denoiser.conditioner("caption")
        assert isinstance(reader, Reader)
        reader.settle()
    loss.to(device, dtype).train()
    model.codec.to(device, dtype)
    if config.training.sharded:
        ranks.shard(loss)
    optimiser = build_optimiser(config.optimiser, loss)
    training = denoiser_stage(config, codec=model.codec.learned and "codec" not in model.card, reading=reads(model))
    plan = Plan(batch=training.batch, samples=training.samples, minutes=training.minutes)
    state = TrainingState(loss, optimiser, [], plan, fixed=fixed)
    state.follow(training.ema)
    return state


def _assemble_batches(
    config: RunConfig, prepared: Prepared, model: Model, times: Times, noises: dict[str, tuple[int, ...]]
) -> Batches:
    share = prepared.modality.given if config.loss.given is None else config.loss.given
    held = prepared.held_out(config)
    conditions = Conditions(model.conditioners, config.loss.drop_condition, Revealing(share))
    return Batches(
        prepared.whole, prepared.modality, model.codec, model.denoiser.process, times,
        config.seed, conditions, model.device, model.dtype,
        Augmentation(flip=config.data.flip, shift=config.data.shift), noises=noises,
        forcing=forcing(config, prepared.modality),
        among=prepared.trained_on(held) if held.any() else None,
    )  # fmt: skip


def _finish(config: RunConfig, prepared: Prepared, model: Model, state: TrainingState, folder: Path) -> None:
    """The averaged weights become the model, and the model a file."""
    model.denoiser.load_state_dict(state.averaged())
    merge(model.denoiser)
    if state.weak:
        model.add_weak().load_state_dict(state.weak)
    before = sum(model.card.get(stage, {}).get("minutes", 0.0) for stage in ("codec", "reading", "pairs"))
    model.card |= {
        "samples_seen": state.seen, "steps": state.step, "data": prepared.pack.content, "data_count": len(prepared.whole),
        "minutes": round(before + state.plan.elapsed / 60, 2), "seed": config.seed,
    }  # fmt: skip
    if isinstance(state.loss, DenoisingLoss) and state.loss.times is not None:
        model.card["learned_schedule"] = state.loss.times.knots(model.denoiser.process.schedule)
    for part in model.parts().values():
        part.eval().requires_grad_(False)
    model.save(folder)


def _identity(config: RunConfig, prepared: Prepared) -> str:
    """A hash of what makes a run what it is: all settings but how long, how often to save, and where the data lies."""
    stages = {"autoencoding": codec_learns(config, prepared.facts), "reading": bool(config.denoiser.get("sketch"))}
    unused = {name: True for name, there in stages.items() if not there}
    exclude: Any = {"training": FREE, "data": {"path"}, "sampling": True, **unused}
    values = config.model_dump(mode="json", exclude=exclude)
    if not config.training.held_out:  # as before there were such settings
        del values["training"]["held_out"]
    if not config.data.stream:
        del values["data"]["stream"], values["data"]["memory"]
    return sha256(json.dumps([values, prepared.whole.content], sort_keys=True).encode()).hexdigest()


def _write_summary(folder: Path, config: RunConfig, prepared: Prepared, model: Model) -> None:
    """RUN/summary.json: what the report says of data, network and machine; and a picture of the data."""
    facts = prepared.facts
    summary = {
        "command": _command(),
        "data": {"path": config.data.path, **contents(prepared.whole), "mean": facts.mean, "std": facts.std},
        "network": {**config.network, "parameters": sum(p.numel() for p in model.denoiser.parameters())},
        **({"codec": _codec_summary(model)} if model.codec.learned else {}),
        "hardware": {
            "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "device": str(model.device), "precision": config.training.precision, "torch": torch.__version__,
            "python": platform.python_version(),
        },
    }  # fmt: skip
    with atomic_write(folder / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    write_examples(prepared.pack, prepared.modality, folder / "pictures" / "training.png")


def _codec_summary(model: Model) -> dict[str, Any]:
    card = model.card["codec"]
    return {
        **model.config.codec, "parameters": sum(p.numel() for p in model.codec.parameters()),
        "latents": " x ".join(map(str, model.codec.latent_shape(model.facts.shape))),
        "reconstruction": f"{card['psnr']} dB PSNR on training data",
        "samples_seen": card["samples_seen"], "minutes": card["minutes"],
    }  # fmt: skip


def _command() -> str:
    """What was typed to start this process: the command line, or a script that calls us."""
    program, *arguments = sys.argv or [""]
    name = Path(program).name
    return shlex.join([name, *arguments] if name == "pellucid" else ["python", program, *arguments])
