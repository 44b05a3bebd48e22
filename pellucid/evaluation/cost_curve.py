"""How quality grows with work: a model's distance to real data for each way to sample it, at equal N and equal seeds.

Ways are tried in three rounds, each going on with what the last one found:

    1. at a middle number of steps    samplers x grids, of which the nearest two go on
    2. there                          the nearest under guidance of several weights, of which the nearest goes on
    3. at each number of steps        these samplers and grids, with this guidance; the nearest without any; the model's own
                                      way, and a solver that was learned for it
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, UnsupportedError, UserError
from pellucid.data.pack import Pack
from pellucid.evaluation import features as registry
from pellucid.evaluation.asked import Asked
from pellucid.evaluation.choose import choose_network
from pellucid.evaluation.network import FeatureNetwork
from pellucid.evaluation.source import opened
from pellucid.metrics import metrics
from pellucid.metrics.metric import Metric
from pellucid.model.assemble import assemble_sampler
from pellucid.model.config import Section
from pellucid.model.effort import SPARE, Point, calls, front, seconds_per_call
from pellucid.model.model import Model
from pellucid.samplers.sampler import Sampler

STEPS = (2, 3, 4, 6, 8, 12, 16, 24)
MIDDLE, KEPT = 8, 2
"""Steps of the first rounds, and samplers with grids that go on from them."""
SAMPLERS: tuple[Section, ...] = (
    {"name": "dpmpp", "order": 2}, {"name": "dpmpp", "order": 3}, {"name": "unipc"}, {"name": "ddim"},
    {"name": "consistency"}, {"name": "ancestral"}, {"name": "posterior"},
)  # fmt: skip
GRIDS = ("uniform", "log_snr", "karras")
GUIDANCE = (1.0, 1.5, 2.0, 3.0)
LEAST, MOST, REAL = 200, 2000, 10_000
"""Samples for each way, and real ones that they are compared with."""
RESAMPLES = 30
MINUTES = 10.0


@dataclass(frozen=True, kw_only=True)
class CostCurve:
    """What was found: every way that was tried.

    Attributes:
        metric, features: what `value` of a point is.
        n: samples for each.
        floor: the distance of real data.
        seconds: that it took.
    """

    points: list[Point]
    metric: str
    features: str
    n: int
    floor: float | None
    seconds: float

    @property
    def front(self) -> list[Point]:
        """The ways worth taking, cheapest first."""
        return front(self.points)

    def as_card(self) -> dict[str, Any]:
        """As a model's card holds it."""
        facts = {name: getattr(self, name) for name in ("metric", "features", "n", "floor")}
        return {**facts, "points": [point.as_card() for point in self.points]}


def measure_curve(
    model: Model,
    data: Path | str | Pack,
    *,
    minutes: float = MINUTES,
    features: str = "auto",
    weights: Path | None = None,
    seed: int = 0,
    batch: int = 64,
    progress: Callable[[int, int], None] | None = None,
) -> CostCurve:
    """Measure `model` against `data` for about so many minutes, which decide how many samples each way is judged by.

    Arguments:
        progress: called with the network calls done, and about how many there will be.
        data, features, weights, seed, batch: see `evaluate`.

    Raises:
        UserError: see `evaluate`; or not time enough for 200 samples each.
    """
    began = perf_counter()
    with opened(data, model) as source:
        network = choose_network(features, source, weights)
        one = Asked.of(model, source, LEAST, seed)
        total, each = _work(model, conditional=one.conditional), seconds_per_call(model, batch, conditional=one.conditional)
        n = min(MOST, int(60 * minutes / (SPARE * each * total)))
        if n < LEAST:
            least = LEAST * SPARE * each * total / 60
            raise ConfigError(f"minutes = {minutes:g}: {LEAST} samples for each way to sample take about {least:.2g}")
        ids = source.choose(REAL, seed)
        real = np.concatenate([network.features(block) for block in source.blocks(ids)])
        name = "frechet" if n > 2 * real.shape[1] else "kernel"
        metric: Metric = metrics[name](seed=seed, resamples=RESAMPLES)
        judge = _Judge(
            model, network, real, metric, Asked.of(model, source, n, seed), seed, batch,
            lambda done: progress(min(done, total), total) if progress else None,
        )  # fmt: skip
        points = _tried(model, judge)
        floor = judge.metric.floor(real, n)
    return CostCurve(
        points=points, metric=name, features=registry.name_of(network), n=n, floor=floor, seconds=perf_counter() - began
    )


@dataclass
class _Judge:
    """Settings in, a point of the curve out; the same settings are judged once."""

    model: Model
    network: FeatureNetwork
    real: NDArray[np.float64]
    metric: Metric
    asked: Asked
    seed: int
    batch: int
    tell: Callable[[int], None]
    done: int = 0

    def __post_init__(self) -> None:
        self.known: dict[str, Point] = {}

    def __call__(self, settings: Section) -> Point | None:
        """None for samples that are no numbers."""
        key = _same(self.model, settings)
        if key not in self.known:
            asked = self.asked
            samples = self.model.sample(
                asked.n, label=asked.labels, prompt=asked.prompts, seed=self.seed, batch=self.batch, **settings
            )
            self.done += samples.nfe
            self.tell(self.done)
            if not bool(samples.data.isfinite().all()):
                return None
            encoded = self.model.modality.encode(samples.data)
            found = self.metric(self.real, self.network.features(self.model.modality.decode(encoded)))
            self.known[key] = Point(
                settings=settings, calls=samples.nfe, value=found.value, low=found.low, high=found.high
            )
        return self.known[key]

    def best(self, ways: Iterable[Section], count: int = 1) -> list[Section]:
        """The settings that came nearest."""
        points = [point for settings in ways if (point := self(settings)) is not None]
        return [point.settings for point in sorted(points, key=lambda point: point.value)[:count]]


def _tried(model: Model, judge: _Judge) -> list[Point]:
    usual = _usual(model)
    nearest = judge.best(_pairs(model, usual), KEPT)
    guided = judge.best(_guidances(model, (*nearest, usual)[0], conditional=judge.asked.conditional))
    for settings in _last_round(model, usual, nearest, guided):
        judge(settings)
    if not judge.known:
        raise UserError("The samples are not numbers: a model whose training went wrong")
    return list(judge.known.values())


def _work(model: Model, *, conditional: bool) -> int:
    """About how many network calls for a sample all rounds take together."""
    usual = _usual(model)
    pairs, guided = [*_pairs(model, usual)], _guidances(model, usual, conditional=conditional)
    ways = [*pairs, *guided, *_last_round(model, usual, pairs[:KEPT], guided[-1:])]
    return sum(calls(model, settings, conditional) for settings in ways)


def _last_round(model: Model, usual: Section, nearest: list[Section], guided: list[Section]) -> Iterator[Section]:
    guidance = {name: value for way in guided for name, value in way.items() if name in ("guidance", "against")}
    plain = [{**way, "guidance": 1.0} for way in nearest[:1]]
    for steps in _steps(model):
        learned = model.config.solvers.get(str(steps))
        solved = [{**usual, **learned}] if learned else []
        for way in (usual, *({**way, **guidance} for way in nearest), *plain, *solved):
            yield {**way, "steps": steps}


def _usual(model: Model) -> Section:
    """How the model samples unless told, all that is chosen among written out."""
    found = model.sampling(learned=False)
    grid = found.get("grid") or model.denoiser.process.schedule.grid
    chosen = {"sampler": found["sampler"], "grid": grid, "guidance": float(found["guidance"]), "against": found["against"]}
    return {**chosen, "steps": MIDDLE if _free(model) else found["steps"]}


def _free(model: Model) -> bool:
    """Whether the number of steps can be chosen: decoders for big steps are trained at levels of their own."""
    return "steps" not in model.denoiser.sampling


def _steps(model: Model) -> tuple[int, ...]:
    return STEPS if _free(model) else (int(model.sampling()["steps"]),)


def _pairs(model: Model, usual: Section) -> Iterator[Section]:
    """Samplers and grids that hold for the model."""
    if not _free(model):
        return
    pairs = product(SAMPLERS, (usual["grid"], *GRIDS))
    ways = (usual, *({**usual, "sampler": sampler, "grid": grid} for sampler, grid in pairs))
    different = {_same(model, way): way for way in ways if _holds(model, way)}
    yield from different.values()


def _same(model: Model, settings: Section) -> str:
    """Equal for ways to sample that differ in name alone."""
    sampler, grid = assemble_sampler(settings, model.denoiser.process.schedule)
    return f"{sampler} {grid} {settings['steps']} {settings['guidance']} {settings['against'] * (settings['guidance'] != 1)}"


def _holds(model: Model, settings: Section) -> bool:
    try:
        sampler: Sampler
        sampler, grid = assemble_sampler(settings, model.denoiser.process.schedule)
        sampler.check(model.denoiser)
        grid(model.denoiser.process.schedule, settings["steps"])
    except (UnsupportedError, ConfigError):
        return False
    return True


def _guidances(model: Model, settings: Section, *, conditional: bool) -> list[Section]:
    """The same way to sample under several weights of guidance, as far as the model has any."""
    if "mean" not in model.denoiser.offers:
        return []
    against = ["null"] * conditional + ["weak"] * (model.weak is not None)
    return [{**settings, "guidance": weight, "against": kind} for kind in against for weight in GUIDANCE]
