"""A run with a learned codec has two stages: how long each of them is."""

from math import ceil

from pellucid.training.config import RunConfig, TrainingConfig


def codec_stage(config: RunConfig) -> TrainingConfig:
    """The course of training of the codec: the run's own, but for its length, batch and what only a denoiser has."""
    training, own = config.training, config.autoencoding
    minutes = None if training.minutes is None or own.samples else own.share * training.minutes
    samples = own.samples or (None if training.samples is None else ceil(own.share * training.samples))
    changes = {"batch": own.batch, "minutes": minutes, "samples": samples, "weak": 0.0}
    return training.model_copy(update=changes)


def denoiser_stage(config: RunConfig) -> TrainingConfig:
    """The course of training of the denoiser: what the codec leaves of the minutes, or all samples."""
    training, own = config.training, config.autoencoding
    if training.minutes is None or own.samples:
        return training
    return training.model_copy(update={"minutes": (1 - own.share) * training.minutes})
