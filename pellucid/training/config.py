"""Everything that determines a run, as it stands in RUN/config.toml: that file alone reproduces the run."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import tomli_w
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pellucid.core.config import explain
from pellucid.core.errors import ConfigError, nearest
from pellucid.core.files import atomic_write
from pellucid.core.reason import reason
from pellucid.model.config import ModelConfig, Section

NAME = "config.toml"
RECIPES = Path(__file__).parents[1] / "recipes"
DEEPEST = 32  # parts of a key, and sections in one another
LONG = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+)""" + f"{{{DEEPEST}}}")
"""A key whose every part costs the parser all those before it."""
LARGEST = 4096  # side of pictures in pixels
Flip = Literal["none", "horizontal", "vertical", "both"]
CONDITIONS = ("auto", "none", "label", "caption")
"""What samples are conditioned on: auto is labels and captions, as far as there are any. Any other word names the column, or
the key of a metadata file, that holds the captions."""


class DataConfig(BaseModel):
    """What is read, and what is done to it in training.

    `size` is the longer side in pixels, or [height, width] exactly, of volumes [depth, height, width]; None: as the data is.
    `channels` is 1 for grey, 3 for RGB, 4 to keep transparency; `condition` what samples are conditioned on; `flip` and
    `shift` are as `Augmentation` has them. `stream`: pictures stay in their shards and are read again in each pass, with no
    more than `memory` MiB of them at a time, which decides how well they are shuffled; else all are packed into the run's
    folder once.
    """

    model_config = ConfigDict(extra="forbid")

    path: str = ""
    size: int | tuple[int, int] | tuple[int, int, int] | None = None
    channels: int | None = Field(None, ge=1)
    condition: str = Field("auto", min_length=1)
    flip: Flip = "none"
    shift: int = Field(0, ge=0, le=LARGEST)
    stream: bool = False
    memory: int = Field(1024, ge=1)

    @property
    def column(self) -> str | None:
        """That holds captions; None: the likeliest."""
        return None if self.condition in CONDITIONS else self.condition

    @field_validator("size", mode="before")
    @classmethod
    def _sides(cls, value: Any) -> Any:
        sides = value if isinstance(value, list | tuple) else (value,)
        whole = all(type(side) is int and 1 <= side <= LARGEST for side in sides)
        if value is not None and not (whole and len(sides) in (1, 2, 3)):
            raise ValueError(f"expected whole numbers from 1 to {LARGEST}: the longer side, or [height, width]")
        return value if len(sides) > 1 else sides[0]


class LossConfig(BaseModel):
    """The weighting of noise levels, how they are drawn, and how often a condition is dropped for guidance.

    `kl`: of a variational denoiser, factor of the divergence; `gamma`: of a critic, weight of the gradient's penalty.
    Variational and adversarial denoisers have noise levels of their own, equally often. `critic`: of a consistency denoiser,
    weight of a critic that judges it as well, and `responses`: of the distance between what its teacher's blocks make of
    samples. `fourier`: of a regression, factor of the error between spectra. `given`: the
    share of samples of which parts are shown as known, so that the model learns to go on from them; `forcing`: the share
    whose frames have times of their own, or whose target is known up to a place; None: as suits the kind of data.
    """

    model_config = ConfigDict(extra="forbid")

    weighting: Section = {"name": "none"}
    times: Section = {"name": "mode"}
    drop_condition: float = Field(0.1, ge=0, lt=1)
    kl: float = Field(1.0, ge=0)
    gamma: float = Field(0.1, ge=0)
    critic: float = Field(0.0, ge=0)
    responses: float = Field(0.5, ge=0)
    fourier: float = Field(0.0, ge=0)
    given: float | None = Field(None, ge=0, le=1)
    forcing: float | None = Field(None, ge=0, le=1)


class AutoencodingConfig(BaseModel):
    """How a codec that learns is trained, before the denoiser.

    `share`: of the minutes; where samples are counted, the codec sees that share of their number, which comes on top.
    `samples`: as many instead; minutes are then all the denoiser's.
    `loss`: settings of the loss, such as the weight `kl` of the divergence.
    """

    model_config = ConfigDict(extra="forbid")

    share: float = Field(0.33, gt=0, lt=1)
    samples: int | None = Field(None, ge=1)
    batch: int = Field(8, ge=1)
    loss: Section = {"name": "autoencoding"}


class ReadingConfig(BaseModel):
    """How captions are learned to be read, before all else; only with `denoiser.sketch`, which then stands on them.

    `share`: of the minutes; where samples are counted, this stage sees as many as the denoiser, which comes on top.
    `samples`: as many instead; minutes are then all the denoiser's.
    `noise`: the share of captions that are followed by a scrap of another while they are learned.
    """

    model_config = ConfigDict(extra="forbid")

    share: float = Field(0.1, gt=0, lt=1)
    noise: float = Field(0.3, ge=0, le=1)
    samples: int | None = Field(None, ge=1)
    batch: int = Field(256, ge=2)
    optimiser: Section = {"name": "adamw", "learning_rate": 0.003}


class TrainingConfig(BaseModel):
    """How long and in what steps. Lengths count samples seen; with `minutes` the end follows the measured speed.

    `precision`: of forward and backward passes; "auto" is bfloat16 where the device has it, else float32. Weights, their
    averages and the optimiser are float32, or float64 all through.
    `ema`: widths of the averages of the weights, the first of which becomes the model.
    `weak`: the share of training after which the widest average is kept beside the model, for autoguidance, which doubles
    the model file; 0: not. With `minutes` progress is known from the first plan on, at 5% of them.
    `start`: a model to go out from, a run folder or file; "": none. `rank`: of the adapters that are trained instead of its
    weights; 0: the weights themselves.
    `held_out`: samples that are not trained on, by which a run knows whether it still learns; None: with `minutes` a
    twentieth of the data if there are enough, else none.
    `sharded`: whether ranks part the weights and the optimiser's memory among them, for models that do not fit on one.
    `evaluate`: whether the finished model is measured, which takes about a tenth of the time of training.
    """

    model_config = ConfigDict(extra="forbid")

    samples: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0, allow_inf_nan=False)
    batch: int = Field(64, ge=1)
    micro_batch: int | None = Field(None, ge=1)
    warmup: int = Field(2048, ge=0)
    decay: float = Field(0.5, ge=0, le=1)
    clip: float = Field(1.0, gt=0)
    precision: Literal["auto", "float32", "float64", "bfloat16"] = "auto"
    ema: tuple[float, ...] = (0.1,)
    weak: float = Field(0.0, ge=0, lt=1)
    start: str = ""
    rank: int = Field(0, ge=0)
    checkpoint_minutes: float = Field(2.0, gt=0)
    checkpoint_samples: int | None = Field(None, ge=1)
    keep_checkpoints: int = Field(2, ge=1)
    log_samples: int = Field(1280, ge=1)
    held_out: int | None = Field(None, ge=0)
    sharded: bool = False
    evaluate: bool = True


class RunConfig(ModelConfig):
    """The model's parts, the data, the losses, the optimiser and the course of training."""

    modality: Section = Field(default={"name": "auto"})
    seed: int = Field(0, ge=0, lt=2**64)
    data: DataConfig = DataConfig()
    loss: LossConfig = LossConfig()
    autoencoding: AutoencodingConfig = AutoencodingConfig()
    reading: ReadingConfig = ReadingConfig()
    optimiser: Section = Field(default={"name": "muon"})
    training: TrainingConfig = TrainingConfig()

    @field_validator("text")
    @classmethod
    def _found_from_anywhere(cls, text: Section) -> Section:
        """A folder that a reader comes from, by its whole path."""
        source = text.get("source")
        if isinstance(source, str) and source and Path(source).is_dir():
            return {**text, "source": str(Path(source).absolute())}
        return text

    @model_validator(mode="after")
    def _adapters_change_a_model(self) -> "RunConfig":
        if self.training.rank and not self.training.start:
            raise ValueError(f"training.rank = {self.training.rank}: adapters need a model to change: give --from MODEL")
        if self.training.rank and self.training.weak:
            raise ValueError("training.rank and training.weak do not go together: set one of them to 0")
        return self

    @model_validator(mode="after")
    def _stages_leave_time(self) -> "RunConfig":
        if self.autoencoding.share + self.reading.share >= 1:
            raise ValueError("autoencoding.share and reading.share leave no time to denoise: expected less than 1 together")
        return self

    @model_validator(mode="after")
    def _batches_divide(self) -> "RunConfig":
        micro, batch = self.training.micro_batch, self.training.batch
        if micro is not None and batch % micro:
            raise ValueError(f"training.micro_batch = {micro} must divide training.batch = {batch}")
        return self

    def model_part(self) -> ModelConfig:
        """What goes into the model file; of pictures, unless the kind of data is settled."""
        sections = {name: getattr(self, name) for name in ModelConfig.model_fields}
        if self.modality.get("name") == "auto":
            sections["modality"] = {**self.modality, "name": "image"}
        return ModelConfig(**sections)

    def save(self, path: Path) -> None:
        """As TOML; settings that are not set are left out."""
        with atomic_write(path) as temporary:
            temporary.write_text(tomli_w.dumps(self.model_dump(exclude_none=True, mode="json")), encoding="utf-8")


def settled(config: RunConfig, device: str) -> RunConfig:
    """`config` with what it left to the machine decided, so that the file of a run says all: the precision."""
    if config.training.precision != "auto":
        return config
    from pellucid.core.precision import default_precision  # torch, which reading a configuration does without

    training = config.training.model_copy(update={"precision": default_precision(device)})
    return config.model_copy(update={"training": training})


def recipes() -> dict[str, Path]:
    """Those that ship with the package, by name."""
    return {file.stem: file for file in sorted(RECIPES.glob("*.toml"))}


def load_recipe(name: Path | str) -> RunConfig:
    """A recipe that ships with the package, by its name, or a TOML file by its path.

    Raises:
        ConfigError: no such name or file, or see `load_config`.
    """
    path, shipped = Path(name), recipes()
    if not path.suffix and not path.is_file():
        if str(name) not in shipped:
            raise ConfigError(f"Unknown recipe '{name}': {nearest(str(name), shipped)}. A file of your own ends in .toml")
        path = shipped[str(name)]
    return load_config(path)


def load_config(path: Path) -> RunConfig:
    """From a TOML file.

    Raises:
        ConfigError: no such file, not TOML, or a setting that does not hold.
    """
    try:
        text = path.read_text(encoding="utf-8")
        if (long := LONG.search(text)) is not None:
            raise ConfigError(f"'{path}' is not a configuration: a key of more than {DEEPEST} parts, '{long[0][:40]}...'")
        return parse_config(tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"Cannot read the configuration '{path}': {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # not TOML, not UTF-8, a number without end, or one list in another
        raise ConfigError(f"'{path}' is not valid TOML: {reason(error)}") from None


def parse_config(values: Mapping[str, Any]) -> RunConfig:
    """From nested mappings, as read from TOML."""
    _check_depth(values)
    for name in values:
        if name not in RunConfig.model_fields:
            raise ConfigError(f"Unknown section '{name}' of the configuration: {nearest(name, RunConfig.model_fields)}")
        known, given = getattr(RunConfig.model_fields[name].annotation, "model_fields", None), values[name]
        if known and isinstance(given, Mapping) and (strange := [key for key in given if key not in known]):
            raise ConfigError(f"Unknown setting '{strange[0]}' of {name}: {nearest(strange[0], known)}")
    try:
        return RunConfig.model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(error)) from None


def _check_depth(values: Mapping[str, Any]) -> None:
    inner: list[Any] = [values]
    for _ in range(DEEPEST):
        held = [one.values() if isinstance(one, Mapping) else one for one in inner]
        inner = [value for some in held for value in some if isinstance(value, Mapping | list | tuple)]
        if not inner:
            return
    raise ConfigError(f"Settings that are nested more than {DEEPEST} deep: expected sections with settings in them")


def apply_settings(config: RunConfig, settings: Sequence[str]) -> RunConfig:
    """`config` with `--set key=value` applied: dotted keys, TOML values, bare words as strings.

    A new `name` of a part starts from that part's own defaults, so names are applied before other settings.
    """
    values = config.model_dump(exclude_none=True)
    for setting in sorted(settings, key=lambda setting: not setting.partition("=")[0].strip().endswith(".name")):
        key, equals, text = setting.partition("=")
        *path, last = key.strip().split(".")
        if not equals or not all((*path, last)):
            raise ConfigError(f"--set {setting}: expected key=value, such as optimiser.learning_rate=0.001")
        place = values
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {setting}: '{part}' is a value, not a section")
        value = setting_value(text.strip())
        if last == "name" and place.get("name") != value:
            place.clear()
        before = place.get(last)
        if isinstance(before, dict) and not isinstance(value, dict):
            example = f"{key.strip()}.name={value}" if "name" in before else f"{key.strip()}.KEY=VALUE"
            raise ConfigError(f"--set {setting}: '{last}' is a section; expected a setting in it, {example}")
        place[last] = value
    return parse_config(values)


def setting_value(text: str) -> Any:
    """A TOML value, or the text itself where it is none."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):
        return text
