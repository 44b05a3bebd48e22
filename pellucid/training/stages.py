"""A run whose codec learns, or which sketches captions, has stages before the denoiser's: how long each of them is."""

from math import ceil

from pellucid.model.assemble import assemble_codec
from pellucid.model.config import Facts
from pellucid.training.config import RunConfig, TrainingConfig
from pellucid.training.pipeline import is_tuned


def codec_learns(config: RunConfig, facts: Facts) -> bool:
    """Whether there is a codec to be trained; a pipeline's has been."""
    return not is_tuned(config) and assemble_codec(config, facts).learned


def has_unit_latents(config: RunConfig, facts: Facts) -> bool:
    """Whether the codec makes latents of mean 0 and variance 1, by its training or as data settles it."""
    if is_tuned(config):
        return False
    codec = assemble_codec(config, facts)
    return codec.learned or codec.fitted


def codec_stage(config: RunConfig) -> TrainingConfig:
    """The course of training of the codec: the run's own, but for its length, batch and what only a denoiser has."""
    training, own = config.training, config.autoencoding
    minutes = None if training.minutes is None or own.samples else own.share * training.minutes
    samples = own.samples or (None if training.samples is None else ceil(own.share * training.samples))
    changes = {"batch": own.batch, "minutes": minutes, "samples": samples, "weak": 0.0}
    return training.model_copy(update=changes)


def reading_stage(config: RunConfig) -> TrainingConfig:
    """The course of training of the reader of captions, likewise."""
    training, own = config.training, config.reading
    minutes = None if training.minutes is None or own.samples else own.share * training.minutes
    samples = own.samples or training.samples
    changes = {"batch": own.batch, "micro_batch": None, "minutes": minutes, "samples": samples, "weak": 0.0}
    return training.model_copy(update=changes)


def denoiser_stage(config: RunConfig, *, codec: bool, reading: bool) -> TrainingConfig:
    """The course of training of the denoiser: what the stages that there are leave of the minutes, or all samples."""
    training = config.training
    if training.minutes is None:
        return training
    stages = (codec, config.autoencoding), (reading, config.reading)
    taken = sum(own.share for there, own in stages if there and not own.samples)
    return training.model_copy(update={"minutes": (1 - taken) * training.minutes})
