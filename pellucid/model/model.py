"""A model: everything that is needed to sample, in one object and one file."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any, Self

import torch
from torch import Tensor, nn

from pellucid.codecs.codec import Codec
from pellucid.conditioners.conditioner import Conditioner
from pellucid.conditioners.known_tokens import UNKNOWN, KnownTokens
from pellucid.conditioners.prompt import expand
from pellucid.core.errors import ConfigError, ModelError, UnsupportedError
from pellucid.core.group import Group
from pellucid.core.random import Draws, Each, Key, Keyed
from pellucid.core.reason import reason
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.guidance.observation import Observation
from pellucid.modalities.modality import Modality
from pellucid.model.assemble import assemble_codec, assemble_denoiser, assemble_modality, assemble_sampler, guided
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.files import read_model, write_model
from pellucid.model.samples import Samples
from pellucid.model.start import Start
from pellucid.networks.initialise import initialise
from pellucid.processes.continuous import Continuous
from pellucid.samplers.sampler import Progress, Sampler

WITHOUT_GAUSSIAN = {"sampler": "ancestral", "steps": 250}
"""Defaults where noise is of another kind: the sampler that holds for small increments, in many steps."""
JOURNEY_SAMPLES = 16
"""How many of the samples a journey follows."""


@dataclass(eq=False)
class Model:
    """Configuration, denoiser, codec and modality. `load` one, or let `train` make it.

    Attributes:
        config: what it is made of.
        facts: what its training data decided.
        card: what is known of its training: data, samples seen, loss, date.
        weak: the denoiser as it was early in training, which autoguidance leads away from.
        group: processes that share the work of sampling: each makes every so many batches, and has all of them at the end.
    """

    config: ModelConfig
    facts: Facts
    denoiser: Denoiser
    codec: Codec
    modality: Modality
    card: dict[str, Any] = field(default_factory=dict)
    weak: Denoiser | None = None
    group: Group = field(default_factory=Group)

    @classmethod
    def create(cls, config: ModelConfig, facts: Facts, seed: int = 0) -> Self:
        """A model with starting weights that depend on the seed alone."""
        codec = assemble_codec(config, facts)
        denoiser = assemble_denoiser(config, facts, codec)
        initialise(codec, Key(seed, "init codec"))
        initialise(denoiser, Key(seed, "init"))
        return cls(config, facts, denoiser, codec, assemble_modality(config.modality, facts.modality))

    @classmethod
    def load(cls, path: Path | str, device: str = "cpu") -> Self:
        """From a run folder or a model file.

        Raises:
            ModelError: there is none, or it is damaged.
        """
        config, facts, card, tensors = read_model(path)
        try:
            model = cls.create(config, facts)
        except (RuntimeError, MemoryError, OverflowError) as error:  # torch's, of what is too large to be had
            raise ModelError(f"'{path}' asks for a network that cannot be made: {reason(error)}") from None
        model.card = card
        model.load_tensors(tensors)
        for part in model.parts().values():
            part.to(device).eval().requires_grad_(False)
        return model

    def save(self, path: Path | str, *, half: bool = False) -> None:
        """To one safetensors file, written whole or not at all; `half` rounds to float16, in which half the bytes do."""
        tensors = self.tensors()
        if half:
            tensors = {name: value.half() if value.is_floating_point() else value for name, value in tensors.items()}
        write_model(path, self.config, self.facts, self.card, tensors)

    @property
    def conditioners(self) -> dict[str, Conditioner]:
        """What reads each entry of `cond`: "label", "caption", as far as the model has them."""
        return {name: self.denoiser.conditioner(name) for name in self.denoiser.conditioners}

    def parts(self) -> dict[str, nn.Module]:
        """What has weights, by the names that they begin with in the file."""
        weak = {} if self.weak is None else {"weak": self.weak}
        return {"denoiser": self.denoiser, "codec": self.codec, **weak}

    def tensors(self) -> dict[str, Tensor]:
        """All weights by the names that they have in the file."""
        parts = self.parts().items()
        return {f"{part}.{name}": value for part, module in parts for name, value in module.state_dict().items()}

    def add_weak(self) -> Denoiser:
        """A weak denoiser, of the same build as the denoiser, with weights yet to be loaded."""
        weak = assemble_denoiser(self.config, self.facts, self.codec)
        self.weak = weak.to(self.device, self.dtype)
        return weak

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Weights from a file's tensors, in their precision, but float32 where that is 16 bits, which are for storage.

        Raises:
            ModelError: one is missing, of another shape, or not part of this model.
        """
        self.weak = self.add_weak() if any(name.startswith("weak.") for name in tensors) else None
        for part, module in self.parts().items():
            prefix = f"{part}."
            state = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
            stored = next((value.dtype for value in state.values() if value.is_floating_point()), None)
            module.to(torch.float32 if stored in (torch.float16, torch.bfloat16) else stored)
            try:
                module.load_state_dict(state)
            except RuntimeError as error:
                first, *more = [line.strip() for line in str(error).splitlines()[1:]] or [str(error)]
                others = f" and {len(more)} more" if more else ""
                raise ModelError(f"The weights in the file do not fit its configuration: {first}{others}") from None

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next((p.device for p in self.denoiser.parameters()), torch.device("cpu"))

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        return next((p.dtype for p in self.denoiser.parameters()), torch.float32)

    def sampling(self, *, learned: bool = True, **settings: Any) -> dict[str, Any]:
        """The defaults of sampling, from the modality and the model, under `settings` that are not None.

        Arguments:
            learned: whether a solver that was learned for as many steps may be used, where no other is asked for.
        """
        defaults = {"sampler": self.modality.sampler, "steps": self.modality.steps, "guidance": 1.0, "against": "null"}
        if isinstance(self.denoiser.process, Continuous) and not self.denoiser.process.gaussian:
            defaults |= WITHOUT_GAUSSIAN
        given = {key: value for key, value in settings.items() if value is not None}
        found = {**defaults, **self.denoiser.sampling, **self.config.sampling, **given}
        usable = learned and not {"sampler", "grid"} & given.keys()
        return {**found, **(self.config.solvers.get(str(found["steps"]), {}) if usable else {})}

    def sample(
        self,
        n: int,
        *,
        label: Any = None,
        prompt: str | Sequence[str] | None = None,
        negative: str | None = None,
        sampler: str | Mapping[str, Any] | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        guidance_interval: tuple[float, float] | None = None,
        against: str | None = None,
        grid: str | Mapping[str, Any] | None = None,
        start: Start | None = None,
        given: Observation | None = None,
        known: Tensor | None = None,
        cond: Cond | None = None,
        seed: int = 0,
        keys: Sequence[tuple[int, int]] | None = None,
        batch: int = 64,
        journey: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> Samples:
        """Generate `n` samples.

        Arguments:
            label: a class name or index, a list of them that is repeated, "all" for each in turn, or None for any.
            prompt: what to make, in words, or a list of such that is repeated, weights written as in "a (red:1.3) cat".
            negative: what not to make, in words; it takes guidance.
            sampler, grid: a registered name, or a mapping with `name` and settings.
            steps: intervals of the grid; what it costs in network calls is in the result's `nfe`.
            guidance: its weight; 1 is off.
            guidance_interval: log-SNR between which guidance acts.
            against: what it leads away from: "null", no condition (classifier-free guidance), or "weak", the model as it
                was early in training (autoguidance), if it was kept.
            start: data to start from, in place of noise alone.
            given: what is known of the samples, in the codec's space: they are drawn from the posterior given it.
            known: values in the modality's range, (C, *space) for each sample or one for all, NaN where they are not known,
                for a model that has learned to go on from such; they come back as they are.
            cond: a row for each sample, as `condition` makes them, in place of label, prompt and known.
            seed: sample i depends on (seed, i) alone, not on `n` or `batch`.
            keys: the (seed, i) of each sample, where they are of several calls.
            batch: how many are made at once.
            journey: keep the first samples at every step.
            progress: called with (steps done, steps in all) over all batches.

        Raises:
            UserError: an unknown name, a value out of range, or parts that cannot work together.
        """
        _check(n, batch, seed, start, given)
        cond = self.condition(n, label=label, caption=prompt, given=known) if cond is None else cond
        away, config = self.settle(
            cond, negative, learned=start is None and given is None, sampler=sampler, steps=steps, guidance=guidance,
            guidance_interval=guidance_interval, against=against, grid=grid,
        )  # fmt: skip
        method, whole = self._method(config)
        times, began = start.times(whole) if start else whole, perf_counter()
        ticks, frames, pieces, calls = len(times) - 1, [], dict[int, Tensor](), dict[int, int]()
        count = -(-n // batch)
        for place, turn in enumerate(turns := self.group.turns(count)):
            ids = range(first := turn * batch, min(first + batch, n))
            part = {name: value[first : ids.stop] for name, value in cond.items()} or None
            draws = Each(keys[first : ids.stop]) if keys else Keyed(seed, list(ids))

            def report(now: Progress, first: int = first, place: int = place) -> None:
                calls[first] = now.nfe
                if journey and first == 0:
                    frames.append(self._frame(now.x, now.t))
                if progress is not None:
                    progress(place * ticks + now.step, ticks * len(turns))

            x = self.first(draws, times[0], start.rows(first, len(ids)) if start and len(times) < len(whole) else None, part)
            if journey and first == 0:
                frames.append(self._frame(x, float(times[0])))
            denoiser = guided(self.denoiser, config, self.weak, away, given and given.rows(first, len(ids)))
            x = method.sample(denoiser, x, times, draws=draws, cond=part, callback=report)
            with torch.no_grad():
                pieces[turn] = _kept(self._plain(x), part)
        sizes = [min(batch, n - first) for first in calls]
        labels = [(*self.facts.labels, "")[i] for i in cond["label"].tolist()] if "label" in cond else None
        return Samples(
            data=torch.cat(self.group.exchanged(pieces, count)), modality=self.modality, seed=seed, journey=frames,
            nfe=round(fmean(calls.values(), sizes)) if calls else 0, seconds=perf_counter() - began,
            labels=_repeated(labels, n), prompts=_repeated(prompt, n),
        )  # fmt: skip

    def _method(self, config: Mapping[str, Any]) -> tuple[Sampler, Tensor]:
        """The sampler of a complete section, and the times that it visits."""
        process = self.denoiser.process
        method, grid = assemble_sampler(dict(config), process.schedule)
        return method, torch.unique(process.snap(grid(process.schedule, config["steps"]))).flip(0)

    def generate(self, prompt: str, n: int = 1, **settings: Any) -> Samples:
        """`n` samples of what a prompt asks for, of each of its alternatives in turn: `{red|blue} hat` gives 2 n.

        Arguments:
            settings: as for `sample`; `label` is the style, where the model knows any.

        Raises:
            UserError: see `sample`; or a prompt that cannot be read.
        """
        prompts = [one for one in expand(prompt) for _ in range(n)]
        return self.sample(len(prompts), prompt=prompts, **settings)

    def first(self, draws: Draws, t: Tensor, start: Start | None = None, cond: Cond | None = None) -> Tensor:
        """The state at time t that sampling starts from: noise alone, or over data, with known tokens in their places."""
        process = self.denoiser.process
        eps = process.noise(draws, "prior", 0, self.codec.latent_shape(self.facts.shape), t)
        if start is None:
            return self._with_known(self._ours(process.prior(eps, mean=self.facts.mean, std=self.facts.std)), cond)
        with torch.no_grad():
            return process.corrupt(self.codec.encode(self._ours(start.x0)), t, eps)

    def _frame(self, x: Tensor, t: float) -> Tensor:
        """The first samples at time t as data, scaled to about unit size."""
        if self.facts.categories:
            return x[:JOURNEY_SAMPLES].cpu()
        time = torch.tensor(t, dtype=torch.float64)
        size = torch.hypot(self.denoiser.process.schedule.alpha(time), self.denoiser.process.schedule.sigma(time))
        shown: Tensor = self.codec.decode(x[:JOURNEY_SAMPLES] / max(1.0, float(size))).float().cpu()
        return shown

    def _ours(self, x: Tensor) -> Tensor:
        """On the model's device; values in its precision."""
        return x.to(self.device, self.dtype if x.is_floating_point() else None)

    def _plain(self, x: Tensor) -> Tensor:
        """Samples as they are handed out."""
        decoded = self.codec.decode(x).cpu()
        return decoded.float() if decoded.is_floating_point() else decoded

    def _with_known(self, x: Tensor, cond: Cond | None) -> Tensor:
        """The first state with tokens that are known in their places; of values the denoiser takes care."""
        known = self.conditioners.get("given")
        if cond is None or "given" not in cond or not isinstance(known, KnownTokens):
            return x
        return known.force(cond["given"], x, torch.ones(len(x), dtype=torch.float64))[0]

    def condition(self, n: int, **asked: Any) -> dict[str, Tensor]:
        """`cond` for n samples, of what was asked for by name."""
        cond, conditioners = {}, self.conditioners
        if self.modality.sourced and "given" in asked and asked["given"] is None:
            raise ConfigError("The model makes texts from texts: say from which (--given source=TEXT; `answer` in Python)")
        for name, value in asked.items():
            if value is not None:
                if name == "given" and name not in conditioners:
                    raise UnsupportedError("The model makes samples whole: it was not trained to go on from parts of them "
                                           "(loss.given)")
                if name not in conditioners:
                    one = value[0] if isinstance(value, list | tuple) and value else value
                    raise UnsupportedError(f"{name.capitalize()} '{one}' was asked for, but the model was trained without "
                                           f"{name}s")
                cond[name] = conditioners[name].parse(value, n)
        return cond

    def settle(
        self, cond: Cond, negative: str | None = None, *, learned: bool = True, **settings: Any
    ) -> tuple[Cond, dict[str, Any]]:
        """What guidance leads away from, and the settings of sampling, the defaults of which give way to what is asked for.

        Raises:
            ConfigError: guidance without anything that it could act on, or a negative prompt without guidance.
        """
        config = self.sampling(learned=learned, **settings)
        if negative is not None and float(config["guidance"]) == 1:
            raise ConfigError(f"The negative prompt '{negative}' has no effect without guidance: set it above 1, such as 3")
        if not cond.keys() - {"given"} and config["against"] == "null" and float(config["guidance"]) != 1:
            config["guidance"] = 1.0 if settings.get("guidance") is None else self._refuse_guidance(settings["guidance"])
        return self.condition(1, caption=negative), config

    def _refuse_guidance(self, guidance: float) -> float:
        asking = " or ".join(["a label"] * bool(self.facts.labels) + ["a prompt"] * self.facts.captions)
        ways = [*([f"give {asking}"] if asking else []), *(["set against = 'weak'"] if self.weak else [])]
        way = ", or ".join([*ways, "set guidance = 1 (off)"])
        raise ConfigError(f"guidance = {guidance:g} needs something to be guided to or away from: {way}")


def _check(n: int, batch: int, seed: int, start: Start | None, given: Observation | None) -> None:
    if n < 1 or batch < 1:
        raise ConfigError(f"n = {n}, batch = {batch}: expected 1 or more")
    if not 0 <= seed < 2**64:
        raise ConfigError(f"seed = {seed} is out of range: allowed is 0 to 2^64 - 1")
    for name, rows in (("start.x0", len(start.x0) if start else 1), ("given.y", len(given.y) if given else 1)):
        if rows not in (1, n):
            raise ConfigError(f"{name} has {rows} rows for n = {n}: expected one for each sample, or one for all")


def _kept(made: Tensor, cond: Cond | None) -> Tensor:
    """Samples with what was given of them as it was."""
    given = (cond or {}).get("given")
    if given is None:
        return made
    return torch.where(given.isnan() if given.is_floating_point() else given == UNKNOWN, made, given)


def _repeated(asked: str | Sequence[str] | None, n: int) -> tuple[str, ...] | None:
    """What each of n samples was asked to be, if anything."""
    if asked is None:
        return None
    each = [asked] if isinstance(asked, str) else list(asked)
    return tuple(each[i % len(each)] for i in range(n))
