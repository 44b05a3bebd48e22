"""Guidance of exact class-conditional denoisers, against gradients of the densities that it is said to sample."""

import inspect
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from draws import FastDraws
from pellucid.core.errors import UnsupportedError
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Mean
from pellucid.guidance import guidances
from pellucid.guidance.autoguidance import Autoguidance
from pellucid.guidance.classifier import Classifier
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.guidance.interval import Interval
from pellucid.guidance.observation import Observation
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.runge_kutta import Heun
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule

SCHEDULES = {"edm": EDM(sigma_max=20.0), "linear": Linear(), "rectified": Rectified()}
every_schedule = pytest.mark.parametrize("schedule", [pytest.param(value, id=key) for key, value in SCHEDULES.items()])
every_limited = pytest.mark.parametrize("name", ["classifier_free", "autoguidance"])
every_guidance = pytest.mark.parametrize("name", list(guidances))
WEIGHTED = [name for name in guidances if "guidance" in inspect.signature(guidances[name]).parameters]
every_weight = pytest.mark.parametrize("name", WEIGHTED)


class Labelled(Denoiser):
    """Two classes of a mixture of three, exactly: label 0 or 1, -1 for either. Counts the samples it is asked about."""

    def __init__(self, schedule: Schedule, blur: float = 0.0) -> None:
        super().__init__(Gaussian(schedule=schedule))
        whole, members = Mixture.example(), ((0,), (1, 2), (0, 1, 2))
        shares = [whole.weights[list(m)] for m in members]
        self.chances = torch.stack([share.sum() for share in shares])
        self.parts = [
            Mixture(self.process, weights=share / share.sum(), means=whole.means[list(m)],
                    covariances=whole.covariances[list(m)] + blur * torch.eye(2, dtype=torch.float64))
            for share, m in zip(shares, members, strict=True)
        ]
        self.asked = 0

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        self.asked += len(x_t)
        label = cond["label"] if cond else torch.full((len(x_t),), -1)
        every = torch.stack([part(x_t, t).mean for part in self.parts], 1)
        return Mean(every[torch.arange(len(x_t)), label])

    def null(self, cond: Cond) -> Cond:
        return {"label": torch.full_like(cond["label"], -1)}

    def log_prob(self, x_t: Tensor, t: Tensor, label: int) -> Tensor:
        """log p(x_t | label), (B,)."""
        return self.parts[label].log_prob(x_t, t)

    def classify(self, x_t: Tensor, t: Tensor, cond: Cond | None) -> Tensor:
        """log p(label | x_t) by Bayes' rule; either label is certain."""
        assert cond is not None
        joint = torch.stack([self.log_prob(x_t, t, c) + self.chances[c].log() for c in (0, 1)], 1)
        each = torch.cat([joint.log_softmax(1), torch.zeros_like(joint[:, :1])], 1)
        return each[torch.arange(len(x_t)), cond["label"]]


def make(name: str, weight: float, schedule: Schedule) -> tuple[Any, Labelled, Labelled]:
    """The guidance of this name around an exact denoiser, with whatever else it asks for; that denoiser; and a weak one."""
    strong, weak = Labelled(schedule), Labelled(schedule, blur=0.5)
    seen = Observation(operator=lambda x: x.sum(1), y=torch.tensor([0.3], dtype=torch.float64), noise=0.2)
    supply = {"denoiser": strong, "weak": weak, "log_prob": strong.classify, "guidance": weight, "observation": seen}
    wanted = inspect.signature(guidances[name]).parameters.values()
    given = {p.name: supply[p.name] for p in wanted if p.default is p.empty}
    return guidances[name](**given), strong, weak


def limits(name: str, schedule: Schedule, weight: float, interval: Interval) -> tuple[Labelled, tuple[Any, Any]]:
    """An exact denoiser, and guidance of this name around it, in the interval and everywhere."""
    strong, weak = Labelled(schedule), Labelled(schedule, blur=0.5)
    first = {"classifier_free": (strong,), "autoguidance": (strong, weak)}[name]
    guided = tuple(guidances[name](*first, weight, **given) for given in ({"interval": interval}, {}))
    return strong, (guided[0], guided[1])


def batch(schedule: Schedule, n: int = 64) -> tuple[Tensor, Tensor, Cond]:
    """Points, times and labels of a batch, noise levels of all sizes."""
    t = 0.03 + 0.9 * torch.rand(n, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    x0, eps = (FastDraws(n, seed).normal("x", 0, (2,)) for seed in (2, 3))
    x_t = Gaussian(schedule=schedule).corrupt(x0, t, eps)
    return x_t, t, {"label": torch.arange(n) % 2}


def score(schedule: Schedule, mean: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """∇ log p(x_t) that a posterior mean stands for, by Tweedie's formula."""
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    return (alpha * mean - x_t) / sigma**2


def gradient(of: Any, x_t: Tensor) -> Tensor:
    x = x_t.clone().requires_grad_()
    found, = torch.autograd.grad(of(x).sum(), x)
    return found


# --- what every guidance keeps


@every_weight
@every_schedule
def test_weight_1_is_off(name: str, schedule: Schedule) -> None:
    """At weight 1 the result is the denoiser's own to the last bit, at its own cost; at 3 it is another."""
    x_t, t, cond = batch(schedule)
    off, strong, weak = make(name, 1.0, schedule)
    plain = strong(x_t, t, cond).mean
    strong.asked = 0
    assert torch.equal(off(x_t, t, cond).mean, plain)
    assert (strong.asked, weak.asked) == (len(x_t), 0)
    assert float((make(name, 3.0, schedule)[0](x_t, t, cond).mean - plain).abs().max()) > 0.1


@every_guidance
@every_schedule
def test_a_sample_does_not_depend_on_its_batch(name: str, schedule: Schedule) -> None:
    """Each of 64 samples comes out as it does alone, whatever times and labels the others have."""
    x_t, t, cond = batch(schedule)
    guided, _, _ = make(name, 2.5, schedule)
    together = guided(x_t, t, cond).mean
    for i in range(64):
        alone = guided(x_t[i : i + 1], t[i : i + 1], {"label": cond["label"][i : i + 1]}).mean
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-9)


@every_guidance
@pytest.mark.parametrize("weight", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("time", [0.05, 0.5, 1.0])
def test_calls_are_those_that_happen(name: str, weight: float, time: float) -> None:
    """`calls(t)` is the number of samples that the networks are really asked about, per sample."""
    guided, strong, weak = make(name, weight, SCHEDULES["linear"])
    x_t, _, cond = batch(SCHEDULES["linear"], 8)
    guided(x_t, torch.tensor(time, dtype=torch.float64), cond)
    assert guided.calls(time) * 8 == strong.asked + weak.asked


@every_guidance
def test_guided_posteriors_are_means_only(name: str) -> None:
    """A guided mean is no sample: asked for one it refuses, and it says beforehand that it offers none."""
    guided, _, _ = make(name, 2.0, SCHEDULES["edm"])
    x_t, t, cond = batch(SCHEDULES["edm"], 4)
    assert guided.offers == {"mean"}
    with pytest.raises(UnsupportedError, match="a mean is not a sample"):
        guided(x_t, t, cond).sample(FastDraws(4), 0)


@every_guidance
def test_guidance_may_wrap_guidance(name: str) -> None:
    """The wrapped denoiser's `null` and process are its own, so that guidance composes."""
    guided, strong, _ = make(name, 2.0, SCHEDULES["edm"])
    assert guided.process is strong.process
    assert guided.null({"label": torch.tensor([0, 1])})["label"].tolist() == [-1, -1]
    x_t, t, cond = batch(SCHEDULES["edm"], 4)
    wanted, neutral = (guided(x_t, t, asked).mean for asked in (cond, strong.null(cond)))
    torch.testing.assert_close(ClassifierFree(guided, 1.7)(x_t, t, cond).mean, 1.7 * wanted - 0.7 * neutral)


@every_guidance
def test_the_end_of_noise_is_finite(name: str) -> None:
    """Where no signal is left (alpha = 0) there is nothing to be certain of: the guided mean is finite."""
    guided, _, _ = make(name, 3.0, Cosine())
    x_t, _, cond = batch(Cosine(), 6)
    assert guided(x_t, torch.ones(6, dtype=torch.float64), cond).mean.isfinite().all()


# --- classifier-free


@every_schedule
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.5, 4.0])
def test_classifier_free_score_is_that_of_the_sharpened_density(schedule: Schedule, weight: float) -> None:
    """Its score is the gradient of w log p(x_t | c) + (1 - w) log p(x_t)."""
    x_t, t, cond = batch(schedule)
    guided, strong, _ = make("classifier_free", weight, schedule)

    def sharpened(x: Tensor) -> Tensor:
        given = torch.where(cond["label"] == 0, strong.log_prob(x, t, 0), strong.log_prob(x, t, 1))
        return weight * given + (1 - weight) * strong.log_prob(x, t, -1)

    found = score(schedule, guided(x_t, t, cond).mean, x_t, t)
    torch.testing.assert_close(found, gradient(sharpened, x_t), rtol=1e-7, atol=1e-7)


@every_limited
@every_schedule
def test_interval_limits_guidance_to_its_noise_levels(name: str, schedule: Schedule) -> None:
    """Within [low, high] of log-SNR, ends included, guidance acts; outside it is off, sample by sample in one batch."""
    x_t, t, cond = batch(schedule)
    log_snr = schedule.log_snr(t)
    low, high = (float(v) for v in log_snr.sort().values[[20, 40]])
    strong, (limited, always) = limits(name, schedule, 3.0, Interval(low=low, high=high))
    inside = (log_snr >= low) & (log_snr <= high)
    assert int(inside.sum()) == 21
    found, plain = limited(x_t, t, cond).mean, strong(x_t, t, cond).mean
    torch.testing.assert_close(found[inside], always(x_t, t, cond).mean[inside], rtol=0, atol=1e-12)
    torch.testing.assert_close(found[~inside], plain[~inside], rtol=0, atol=1e-12)
    assert float((found - plain)[inside].abs().amax(1).min()) > 1e-6


@every_limited
def test_calls_follow_the_interval(name: str) -> None:
    """Outside the interval one call is made and counted, inside two; the ends belong to the inside."""
    schedule = SCHEDULES["edm"]
    low, high = (float(schedule.log_snr(torch.tensor(v, dtype=torch.float64))) for v in (0.5, 0.25))
    strong, (guided, _) = limits(name, schedule, 3.0, Interval(low=low, high=high))
    weak = strong if name == "classifier_free" else guided.weak
    x_t, _, cond = batch(schedule, 4)
    for time, calls in ((0.24, 1), (0.25, 2), (0.3, 2), (0.5, 2), (0.51, 1), (1.0, 1)):
        strong.asked = weak.asked = 0
        guided(x_t, torch.tensor(time, dtype=torch.float64), cond)
        asked = strong.asked + (0 if weak is strong else weak.asked)
        assert (guided.calls(time), asked) == (calls, 4 * calls)


def test_a_sampler_counts_the_calls_of_guidance() -> None:
    """Over a whole trajectory the sampler reports the calls that were made, where guidance is on for a part of it."""
    schedule = SCHEDULES["edm"]
    strong = Labelled(schedule)
    guided = ClassifierFree(strong, 2.0, interval=Interval(low=-2.0, high=2.0))
    x_1, _, cond = batch(schedule, 4)
    counts: list[int] = []
    grid = torch.linspace(1, 0, 9, dtype=torch.float64) ** 3
    Heun().sample(guided, 20 * x_1, grid, cond=cond, callback=lambda now: counts.append(now.nfe))
    assert counts[-1] * 4 == strong.asked
    assert 15 < counts[-1] < 30


def test_without_a_condition_there_is_nothing_to_guide() -> None:
    """Asked for nothing, the guided denoiser is the plain one, at one call."""
    guided, strong, _ = make("classifier_free", 3.0, SCHEDULES["edm"])
    x_t, t, _ = batch(SCHEDULES["edm"], 4)
    assert torch.equal(guided(x_t, t).mean, strong(x_t, t).mean)
    assert strong.asked == 8


def test_calls_without_a_condition_are_counted_as_made() -> None:
    """A sampler without a condition reports one call per evaluation, not the two of guidance."""
    guided, strong, _ = make("classifier_free", 3.0, SCHEDULES["edm"])
    x_1, _, _ = batch(SCHEDULES["edm"], 4)
    counts: list[int] = []
    Heun().sample(guided, x_1, torch.linspace(1, 0, 4, dtype=torch.float64), callback=lambda now: counts.append(now.nfe))
    assert counts[-1] * 4 == strong.asked


@pytest.mark.parametrize("shape", [
    (), (4,), (4, 1), (1,), (1, 1),
], ids=str)
def test_times_of_any_shape_are_guided(shape: tuple[int, ...]) -> None:
    """Times in every form that a denoiser takes give the same result as one for each sample."""
    guided, strong, _ = make("classifier_free", 3.0, SCHEDULES["linear"])
    x_t, _, cond = batch(SCHEDULES["linear"], 4)
    t = torch.full(shape, 0.4, dtype=torch.float64)
    assert strong(x_t, t, cond).mean.shape == (4, 2)
    expected = guided(x_t, torch.full((4,), 0.4, dtype=torch.float64), cond).mean
    torch.testing.assert_close(guided(x_t, t, cond).mean, expected)


# --- autoguidance


@every_schedule
@pytest.mark.parametrize("weight", [0.0, 0.5, 1.1, 2.0])
def test_autoguidance_moves_away_from_the_weak_density(schedule: Schedule, weight: float) -> None:
    """Karras et al. 2024 (autoguidance), section 3: its score is the gradient of log (p_strong^w p_weak^(1 - w))."""
    x_t, t, _ = batch(schedule)
    strong, weak = Labelled(schedule), Labelled(schedule, blur=0.5)
    cond = {"label": torch.ones(64, dtype=torch.int64)}
    found = score(schedule, Autoguidance(strong, weak, weight)(x_t, t, cond).mean, x_t, t)
    expected = gradient(lambda x: weight * strong.log_prob(x, t, 1) + (1 - weight) * weak.log_prob(x, t, 1), x_t)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


# --- classifier


@every_schedule
def test_exact_classifier_turns_the_unconditional_into_the_conditional(schedule: Schedule) -> None:
    """With the exact log p(c | x_t) counted once, w - 1 = 1, the unconditional denoiser becomes the conditional one."""
    x_t, t, cond = batch(schedule)
    strong = Labelled(schedule)
    unconditional = strong.parts[-1]
    found = Classifier(unconditional, strong.classify, 2.0)(x_t, t, cond).mean
    torch.testing.assert_close(found, strong(x_t, t, cond).mean, rtol=1e-8, atol=1e-8)
    assert float((found - unconditional(x_t, t).mean).abs().max()) > 0.1


@every_schedule
@pytest.mark.parametrize("weight", [0.0, 1.5, 5.0])
def test_classifier_score_is_that_of_the_tilted_density(schedule: Schedule, weight: float) -> None:
    """Dhariwal and Nichol 2021, section 4: the score of p(x_t | c) p(c | x_t)^(w - 1), the denoiser being conditional."""
    x_t, t, cond = batch(schedule)
    guided, strong, _ = make("classifier", weight, schedule)

    def tilted(x: Tensor) -> Tensor:
        given = torch.where(cond["label"] == 0, strong.log_prob(x, t, 0), strong.log_prob(x, t, 1))
        return given + (weight - 1) * strong.classify(x, t, cond)

    with torch.no_grad():  # as samplers call it
        found = score(schedule, guided(x_t, t, cond).mean, x_t, t)
    torch.testing.assert_close(found, gradient(tilted, x_t), rtol=1e-7, atol=1e-7)


def test_classifier_leaves_pure_noise_as_it_is() -> None:
    """Where alpha = 0 the classifier's gradient would be divided by nothing: the denoiser stays exactly as it was."""
    schedule = Rectified()
    guided, strong, _ = make("classifier", 4.0, schedule)
    x_t, _, cond = batch(schedule, 6)
    t = torch.ones(6, dtype=torch.float64)
    assert torch.equal(guided(x_t, t, cond).mean, strong(x_t, t, cond).mean)
    near = guided(x_t, t - 1e-6, cond).mean - strong(x_t, t - 1e-6, cond).mean
    assert math.isfinite(float(near.abs().max()))
