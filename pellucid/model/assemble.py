"""From a configuration and the facts of the data to the parts of a model."""

from math import isfinite, nan
from typing import Any

from pellucid.codecs import codecs
from pellucid.codecs.codec import Codec
from pellucid.codecs.identity import Identity
from pellucid.conditioners import conditioners
from pellucid.conditioners.conditioner import TOKEN_WIDTH, Conditioner
from pellucid.conditioners.frames import Frames
from pellucid.conditioners.given import Given
from pellucid.conditioners.known_tokens import KnownTokens
from pellucid.conditioners.label import Label
from pellucid.core.config import build, validated
from pellucid.core.errors import ConfigError, nearest
from pellucid.denoisers import denoisers
from pellucid.denoisers.categorical import EMBEDDED, Categorical
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.latent import Latent
from pellucid.denoisers.regression import Regression
from pellucid.denoisers.sketch import Sketch
from pellucid.denoisers.wiener import Wiener
from pellucid.guidance.autoguidance import Autoguidance
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.guidance.interval import EVERYWHERE, Interval
from pellucid.guidance.moment_matching import MomentMatching
from pellucid.guidance.observation import Observation
from pellucid.modalities import modalities
from pellucid.modalities.modality import Modality
from pellucid.model.config import Facts, ModelConfig, Section
from pellucid.networks import networks
from pellucid.networks.network import Network
from pellucid.processes import processes
from pellucid.processes.discrete import Discrete
from pellucid.processes.process import Process
from pellucid.samplers import grids, samplers
from pellucid.samplers.grid import Grid
from pellucid.samplers.sampler import Sampler
from pellucid.schedules import schedules
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.shifted import Shifted

SAMPLING = ("sampler", "steps", "grid", "guidance", "guidance_interval", "against")
"""Settings of a `sampling` section."""
DISCRETE, CONTINUOUS = "masked or uniform_tokens (recipe = text)", "gaussian or additive"
AGAINST = ("null", "weak")
"""What guidance leads away from: the same denoiser asked for nothing, or the model's own weak one."""
STRONGEST = 1e6  # weight of guidance; what is beyond overflows


def assemble_process(config: ModelConfig, categories: int = 0) -> Process:
    """The process with its schedule.

    Arguments:
        categories: of tokens; 0 of values.

    Raises:
        ConfigError: the process is not of what the data is made of.
    """
    section = {key: value for key, value in config.schedule.items() if key != "shift"}
    schedule: Schedule = build(schedules, section)
    if "shift" in config.schedule:
        shift = validated(Shifted, {"shift": config.schedule["shift"]}, "schedule", hidden={"base": schedule})
        schedule = Shifted(base=schedule, **shift)
    name = config.process.get("name")
    discrete = isinstance(name, str) and name in processes and issubclass(processes[name], Discrete)
    if discrete != bool(categories):
        what, known = ("tokens", DISCRETE) if categories else ("values", CONTINUOUS)
        raise ConfigError(f"process.name = {name}: the data is made of {what}, expected {known}")
    counted = {"categories": categories} if discrete else {}
    process: Process = build(processes, config.process, schedule=schedule, **counted)
    return process


def assemble_denoiser(config: ModelConfig, facts: Facts, codec: Codec) -> Denoiser:
    """The denoiser with a network for the codec's shape and conditioners for labels and captions, where there are any."""
    if issubclass(kind_of(config), Categorical) or facts.categories:
        return _of_tokens(config, facts, codec)
    channels, *space = codec.latent_shape(facts.shape)
    modality = assemble_modality(config.modality, facts.modality)
    segments, scales = modality.segments, modality.scales
    section = {"sigma_data": spread(modality, facts), **config.denoiser}
    rank = _rank(section.pop("sketch", 0)) if facts.captions else 0
    kind = kind_of(config)
    network: Network = build(
        networks, config.network, in_channels=(kind.pictures + (rank > 0) + 2 * facts.given) * channels,
        out_channels=channels, space=tuple(space), token_width=TOKEN_WIDTH if facts.captions else 0,
        **({"segments": segments} if segments and config.network.get("name") == "transformer" else {}),
    )  # fmt: skip
    knowing = {"given": Given} if facts.given else {"given": Frames} if facts.forced else {}
    conditions: dict[str, Conditioner] = {name: part(shape=(channels, *space)) for name, part in knowing.items()}
    if facts.labels:
        conditions["label"] = Label(names=facts.labels, width=network.embedding_width)
    if facts.captions:
        conditions["caption"] = build(conditioners, config.text, width=network.embedding_width)
    given: dict[str, Any] = {"process": assemble_process(config), "network": network, "conditioners": conditions}
    if issubclass(kind, Latent | Wiener):
        given["shape"] = (channels, *space)
    if scales is not None and kind is Regression and isinstance(codec, Identity):
        given["scales"] = scales
    if rank:
        given["sketch"] = Sketch(width=network.embedding_width, shape=(channels, *space), rank=rank)
    denoiser: Denoiser = build(denoisers, section, **given)
    return denoiser


def spread(modality: Modality, facts: Facts) -> float:
    """Standard deviation of the data as a network sees it."""
    return facts.std if modality.scales is None else 1.0


def _of_tokens(config: ModelConfig, facts: Facts, codec: Codec) -> Denoiser:
    """Of samples that are made of tokens."""
    process, kind = assemble_process(config, facts.categories), kind_of(config)
    if not issubclass(kind, Categorical) or not isinstance(codec, Identity):
        raise ConfigError(f"denoiser.name = {config.denoiser.get('name')}, codec.name = {config.codec.get('name')}: tokens "
                          "take categorical and identity (recipe = text)")  # fmt: skip
    network: Network = build(
        networks, config.network, in_channels=EMBEDDED, out_channels=EMBEDDED, space=facts.shape[1:], token_width=0
    )
    conditions: dict[str, Conditioner] = {"given": KnownTokens(shape=facts.shape, categories=facts.categories)}
    if facts.labels:
        conditions["label"] = Label(names=facts.labels, width=network.embedding_width)
    denoiser: Denoiser = build(
        denoisers, config.denoiser, process=process, length=facts.shape[1], network=network, conditioners=conditions
    )
    return denoiser


def kind_of(config: ModelConfig) -> type[Denoiser]:
    """The class of the denoiser."""
    name = config.denoiser.get("name")
    kind: type[Denoiser] = denoisers[name] if isinstance(name, str) else Regression
    return kind


def _rank(value: Any) -> int:
    """Of the sketch, from its setting; 0 is none."""
    if type(value) is not int or value < 0:
        raise ConfigError(f"denoiser.sketch = {value!r}: expected the rank of a sketch of captions, such as 128; 0 is none")
    return value


def assemble_modality(section: Section, learned: Section) -> Modality:
    """The kind of data with what was learned of it, which stands above what was set."""
    settings = {name: value for name, value in section.items() if name not in learned}
    modality: Modality = build(modalities, settings, **learned)
    return modality


def assemble_codec(config: ModelConfig, facts: Facts) -> Codec:
    """The codec for the data's shape."""
    codec: Codec = build(codecs, config.codec, shape=facts.shape)
    return codec


def assemble_sampler(config: Section, schedule: Schedule) -> tuple[Sampler, Grid]:
    """The sampler and grid of a `sampling` section: names, or sections with settings."""

    def section(value: Any) -> Section:
        return {"name": value} if isinstance(value, str) else dict(value)

    return build(samplers, section(config["sampler"])), build(grids, section(config.get("grid") or schedule.grid))


def check_sampling(config: Section, denoiser: Denoiser, weak: Denoiser | None = None) -> None:
    """Refuse a complete `sampling` section that could not be used with this denoiser and the weak one beside it."""
    for name in config:
        if name not in SAMPLING:
            raise ConfigError(f"Unknown setting '{name}' of sampling: {nearest(name, SAMPLING)}")
    for name, allowed, words in (("steps", int, "a whole number"), ("guidance", (int, float), "a number")):
        if not isinstance(config[name], allowed) or not isfinite(config[name]):
            raise ConfigError(f"sampling.{name} = {config[name]!r}: expected {words}")
    sampler, grid = assemble_sampler(config, denoiser.process.schedule)
    sampler.check(denoiser)
    grid(denoiser.process.schedule, config["steps"])
    guided(denoiser, config, weak)


def guided(
    denoiser: Denoiser,
    config: Section,
    weak: Denoiser | None = None,
    away: Cond | None = None,
    given: Observation | None = None,
) -> Denoiser:
    """The denoiser under the guidance of a `sampling` section, away from nothing or from `away`, or from the weak one; a
    weight of 1 leaves it as it is. Of what is `given`, each denoiser makes its posterior before they are compared.
    """
    if given is not None:
        denoiser, weak = MomentMatching(denoiser, given), weak and MomentMatching(weak, given)
    weight, against = float(config.get("guidance", 1.0)), config.get("against", "null")
    if not abs(weight) < STRONGEST:
        raise ConfigError(f"guidance = {weight:g}: expected a number within {STRONGEST:g}, 1 for none")
    if against not in AGAINST:
        raise ConfigError(f"against = {against!r}: {nearest(str(against), AGAINST)}")
    if against == "weak" and weak is None:
        raise ConfigError("against = 'weak': the model keeps no weak version of itself: train with training.weak=0.1")
    interval = _interval(config.get("guidance_interval"))
    if weight == 1:
        return denoiser
    if weak is not None and against == "weak":
        if away:
            raise ConfigError("A negative prompt is what guidance leads away from: it goes with against = 'null'")
        return Autoguidance(denoiser, weak, weight, interval=interval)
    return ClassifierFree(denoiser, weight, interval=interval, away=away)


def _interval(limits: Any) -> Interval:
    if limits is None:
        return EVERYWHERE
    try:
        low, high = map(float, limits)
    except (TypeError, ValueError):
        low = high = nan
    if not low < high:
        raise ConfigError(f"guidance_interval = {limits}: expected two values of log-SNR, the lower first")
    return Interval(low=low, high=high)
