"""What a model is made of, as read from a configuration file or from a model file's metadata."""

from typing import Any

from pydantic import BaseModel, ConfigDict

Section = dict[str, Any]
"""`name` and keyword arguments of one part; see `core.config.build`."""


class ModelConfig(BaseModel):
    """One section for each part, by its registry's name. `shift` is a key of any schedule: see `schedules.Shifted`; `text`
    is the conditioner that reads captions, where there are any. `solvers` are what `pellucid speedup` has learned: for a
    number of steps, the sections `sampler` and `grid` that are taken when no others are asked for.
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")  # null would be nothing

    modality: Section = {"name": "image"}
    schedule: Section = {"name": "rectified"}
    process: Section = {"name": "gaussian"}
    network: Section = {"name": "unet", "size": "tiny"}
    denoiser: Section = {"name": "regression"}
    codec: Section = {"name": "identity"}
    text: Section = {"name": "caption"}
    sampling: Section = {}
    solvers: dict[str, dict[str, Section]] = {}


class Facts(BaseModel):
    """What the data decided: stored with the model, not set by the user.

    shape is (C, *space) of a sample; labels the class names; captions whether samples have any; given whether parts of
    samples may be given, from which the model goes on; forced whether those are whole frames, known by their times;
    missing whether some values were; mean and std are over all values of what is diffused: the data in the model's
    range, or its latents; categories how many there are of the tokens that samples are made of, 0 where they are
    values; modality what its kind of data learned (`Modality.learn`).
    """

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    shape: tuple[int, ...]
    labels: tuple[str, ...] = ()
    captions: bool = False
    given: bool = False
    forced: bool = False
    missing: bool = False
    categories: int = 0
    mean: float = 0.0
    std: float = 0.5
    modality: dict[str, Any] = {}
