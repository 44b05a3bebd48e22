"""The first stage of a run whose codec learns: the codec is trained, and all data encoded with it once.

    RUN/codec/checkpoints, log.jsonl, tensorboard    as of any training
    RUN/codec/codec.safetensors                      the finished codec, which the model's file will hold too
    RUN/codec/latents                                a pack of the latents of all samples in float16
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from pellucid.codecs.kl import KL
from pellucid.core.config import build
from pellucid.core.errors import ModelError, UnsupportedError
from pellucid.core.items import Item
from pellucid.core.random import Key
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.evaluation.reconstruction import encoding, reconstruction
from pellucid.losses import losses
from pellucid.losses.autoencoding import AutoencodingLoss
from pellucid.model.files import write_tensors
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training.augmentation import Augmentation
from pellucid.training.codec_batches import CodecBatches
from pellucid.training.config import RunConfig
from pellucid.training.ema import averages
from pellucid.training.observer import Observer
from pellucid.training.optimiser import build_optimiser
from pellucid.training.plan import Plan
from pellucid.training.prepare import STATISTICS, Prepared
from pellucid.training.stage import train_stage
from pellucid.training.stages import codec_stage
from pellucid.training.state import TrainingState, checkpoints

FORMAT, NAME = "pellucid-codec-1", "codec.safetensors"


def begun(stage: Path) -> bool:
    """Whether a codec has been trained in the folder of its stage, if only in part."""
    return (stage / NAME).is_file() or bool(checkpoints(stage / "checkpoints"))


def check_learning(config: RunConfig, prepared: Prepared, model: Model) -> None:
    """Refuse settings with which the codec could not be trained."""
    if "codec" not in model.card:
        _assemble(config, prepared, model)


def learn_codec(
    config: RunConfig, prepared: Prepared, model: Model, stage: Path, identity: str, observer: Observer | None = None
) -> None:
    """Train the model's codec in the folder of its stage, going on from what is there, and enter it in the model's card.

    One that is in the card already, from the model that training goes out from, stays as it is.

    Raises:
        UserError, DivergenceError, InterruptedRunError: see `loop.run`.
    """
    if "codec" in model.card:
        model.card["codec"] = {"samples_seen": 0, "minutes": 0.0, "psnr": reconstruction(model, prepared.pack)}
    else:
        if not (stage / NAME).is_file():
            _train(config, prepared, model, stage, identity, observer)
        model.card["codec"] = _load(model, stage / NAME, identity)
    model.codec.eval().requires_grad_(False)


def encoded(model: Model, pack: Pack, stage: Path, identity: str) -> Pack:
    """The latents of all samples of `pack`, in its order: those that are there already, or written now."""
    folder, settings = stage / "latents", {"run": identity}
    there = Pack.current(folder, settings, pack.content)
    return there or write_pack(_latents(model, pack), folder, settings=settings, fingerprint=pack.content)


def _train(
    config: RunConfig, prepared: Prepared, model: Model, stage: Path, identity: str, observer: Observer | None
) -> None:
    state, batches = _assemble(config, prepared, model)

    def begin() -> None:
        if observer is not None:
            observer.begin(prepared, model, state)

    def finish() -> dict[str, Any]:
        model.codec.load_state_dict(state.averaged())
        _standardise(model, prepared.pack)
        return {"psnr": reconstruction(model, prepared.pack)}

    card = train_stage(
        codec_stage(config), state, batches, stage, identity, begin=begin, finish=finish, observer=observer
    )
    metadata = {"format": FORMAT, "identity": identity, "card": json.dumps(card)}
    write_tensors(stage / NAME, model.codec.state_dict(), metadata)


def _assemble(config: RunConfig, prepared: Prepared, model: Model) -> tuple[TrainingState, CodecBatches]:
    """What training the codec remembers, at its start, and what it will see."""
    codec, training = model.codec, codec_stage(config)
    if not isinstance(codec, KL):
        raise UnsupportedError(f"{type(codec).__name__} cannot be trained as an autoencoder: set codec.name = 'kl'")
    loss: AutoencodingLoss = build(losses, config.autoencoding.loss, codec=codec)
    if loss.discriminator is not None:
        initialise(loss.discriminator, Key(config.seed, "init discriminator"))
    loss.to(model.device, model.dtype).train()
    plan = Plan(batch=training.batch, samples=training.samples, minutes=training.minutes)
    optimiser = build_optimiser(config.optimiser, loss)
    state = TrainingState(loss, optimiser, averages(codec.state_dict(), training.ema), plan)
    batches = CodecBatches(
        prepared.pack, prepared.modality, codec.latent_shape(prepared.facts.shape), config.seed, model.device, model.dtype,
        Augmentation(flip=config.data.flip, shift=config.data.shift),
    )  # fmt: skip
    return state, batches


def _standardise(model: Model, pack: Pack) -> None:
    """Latents get mean 0 and variance 1 over samples spread over the data."""
    assert isinstance(model.codec, KL)
    model.codec.standardise(z for _, z in encoding(model, pack, pack.spread(STATISTICS)))


def _latents(model: Model, pack: Pack) -> Iterator[Item]:
    for _, z in encoding(model, pack, np.arange(len(pack))):
        for latent in z.half().cpu().numpy():
            yield Item(source="", data=latent)


def _load(model: Model, path: Path, identity: str) -> dict[str, Any]:
    """The finished codec's weights into the model; returns what is known of its training."""
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelError(f"The codec '{path}' is damaged: {error}. Delete it to make it anew from its checkpoint") from None
    if (metadata.get("format"), metadata.get("identity")) != (FORMAT, identity):
        raise ModelError(f"'{path}' belongs to another configuration or data set than this run's: start a new run")
    model.codec.load_state_dict(tensors)
    return dict(json.loads(metadata["card"]))
