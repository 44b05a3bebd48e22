"""Losses: weightings against their papers, noise levels as drawn, and the expectation at the exact denoiser."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.prediction import Prediction, convert
from pellucid.denoisers.regression import Regression
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.loss import Losses
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from test_registries import declared

REGISTRIES = declared("pellucid.losses")
WEIGHTINGS, TIMES = REGISTRIES["weightings"], REGISTRIES["times"]
PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
SCHEDULES = {"linear": Linear(), "edm": EDM(), "rectified": Rectified(), "cosine": Cosine()}
SIGMA_DATA = 0.6

every_schedule = pytest.mark.parametrize("schedule", [pytest.param(value, id=key) for key, value in SCHEDULES.items()])
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)
every_weighting = pytest.mark.parametrize("name", list(WEIGHTINGS))
every_times = pytest.mark.parametrize("name", list(TIMES))


class Answers(nn.Module):
    """A network that answers `function(x_t, t)`, for a denoiser that presents both plainly."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, c_noise: Tensor, *_conditions: Tensor | None) -> Tensor:
        answer: Tensor = self.function(x, c_noise)
        return answer


def make(answer: Any, schedule: Schedule, prediction: Prediction, **weighting: Any) -> DenoisingLoss:
    denoiser = Regression(
        process=Gaussian(schedule=schedule), network=Answers(answer), preconditioning="plain", sigma_data=SIGMA_DATA
    )
    denoiser.prediction = prediction  # the end of noise, where some are refused, is not asked about
    return DenoisingLoss(denoiser=denoiser, weighting=build(WEIGHTINGS, weighting)).double()


def batch(n: int = 60) -> tuple[Tensor, Tensor, Tensor]:
    """Clean data (n, 2, 3), times from end to end, noise."""
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, n, 2, 3, generator=generator, dtype=torch.float64)
    return x0, torch.linspace(0.01, 0.99, n, dtype=torch.float64), eps


def missing(schedule: Schedule, prediction: Prediction, by: float, **weighting: Any) -> tuple[Losses, Tensor]:
    """The losses of a network that misses its target by `by` in every element; and the ratio sigma / alpha."""
    x0, t, eps = batch()
    a, b, c = (v[:, None, None] for v in (schedule.alpha(t), schedule.sigma(t), t))
    target = convert(x0, "x0", prediction, a * x0 + b * eps, schedule, c, SIGMA_DATA)
    return make(lambda x, t: target + by, schedule, prediction, **weighting)(x0, t, eps), (b / a)[:, 0, 0]  # noqa: ARG005


# --- weightings

X0_WEIGHTS = {
    # what multiplies |D - x0|^2 at r = sigma / alpha, as the papers have it; SNR = r^-2
    "edm": lambda r: (r**2 + SIGMA_DATA**2) / (r * SIGMA_DATA) ** 2,  # Karras et al. 2022, table 1
    "min_snr": lambda r: torch.minimum(r**-2, torch.full_like(r, 5.0)),  # Hang et al. 2023, eq. 8 and γ = 5
    "sigmoid": lambda r: math.exp(-1) / (1 + math.exp(-1) * r**2),  # Hoogeboom et al. 2024: e^b S(log SNR - b), b = -1
    "learned": lambda r: (r**2 + SIGMA_DATA**2) / (r * SIGMA_DATA) ** 2,  # as "edm", before any training
}


@every_weighting
@every_schedule
@every_prediction
def test_weights_apply_to_the_error_of_clean_data(name: str, schedule: Schedule, prediction: Prediction) -> None:
    """Whatever the network predicts, the loss is w(t) |D - x0|^2 with the published w, and `x0_error` is |D - x0|^2."""
    x0, t, eps = batch()
    loss = make(lambda x, t: (3 * x + t.reshape(-1, 1, 1)).sin(), schedule, prediction, name=name)
    found = loss(x0, t, eps)
    mean = loss.denoiser(loss.denoiser.process.corrupt(x0, t, eps), t).mean
    error = ((mean - x0) ** 2).mean((1, 2))
    torch.testing.assert_close(found.x0_error, error, rtol=1e-8, atol=1e-12)
    assert found.weighted.shape == found.x0_error.shape == (60,)
    if name != "none":
        weight = X0_WEIGHTS[name](schedule.sigma(t) / schedule.alpha(t))
        torch.testing.assert_close(found.weighted, weight * error, rtol=1e-8, atol=1e-12)


@every_schedule
@every_prediction
def test_none_is_the_plain_error_of_the_target(schedule: Schedule, prediction: Prediction) -> None:
    """Without weighting a network that misses its target by 0.3 everywhere costs 0.09, at every level; a hit costs 0."""
    missed, hit = (missing(schedule, prediction, by, name="none")[0].weighted for by in (0.3, 0.0))
    torch.testing.assert_close(missed, torch.full((60,), 0.09, dtype=torch.float64), rtol=1e-7, atol=0)
    assert float(hit.max()) < 1e-16


@every_schedule
def test_edm_weighs_its_own_target_evenly(schedule: Schedule) -> None:
    """Karras et al. 2022, eq. 8: the weight is 1 / c_out², so the unit-variance target has weight 1 at every level."""
    torch.testing.assert_close(missing(schedule, "edm", 1.0, name="edm")[0].weighted, torch.ones(60).double())


@pytest.mark.parametrize("gamma", [1.0, 5.0])
@pytest.mark.parametrize("schedule", [Linear(), Cosine()], ids=["linear", "cosine"])
def test_min_snr_for_each_prediction(schedule: Schedule, gamma: float) -> None:
    """Hang et al. 2023, section 3.4: min(SNR, γ) for x0, min(SNR, γ) / SNR for eps and min(SNR, γ) / (SNR + 1) for v."""
    for prediction, share in (("x0", lambda s: 1.0 + 0 * s), ("eps", lambda s: 1 / s), ("v", lambda s: 1 / (s + 1))):
        found, r = missing(schedule, prediction, 1.0, name="min_snr", gamma=gamma)  # type: ignore[arg-type]
        snr = r**-2
        assert snr.min() < gamma < snr.max()
        torch.testing.assert_close(found.weighted, snr.clamp(max=gamma) * share(snr), rtol=1e-8, atol=0)


@every_schedule
@pytest.mark.parametrize("bias", [-3.0, 1.0])
def test_sigmoid_weighs_the_error_of_noise(schedule: Schedule, bias: float) -> None:
    """Kingma and Gao 2023, section 5: S(bias - log SNR) on the error of eps, one half where log SNR is the bias."""
    found, r = missing(schedule, "eps", 1.0, name="sigmoid", bias=bias)
    expected = 1 / (1 + math.exp(-bias) * r**-2)
    torch.testing.assert_close(found.weighted, expected, rtol=1e-8, atol=0)


@every_weighting
def test_weights_are_finite_where_training_may_come(name: str) -> None:
    """At the end of noise and at tiny noise, weighted losses of every allowed prediction stay finite and not negative."""
    for schedule in SCHEDULES.values():
        for prediction in ("v", "edm"):
            loss = make(lambda x, t: x.cos() + 0 * t.sum(), schedule, prediction, name=name)  # type: ignore[arg-type]
            x0, _, eps = batch(3)
            found = loss(x0, torch.tensor([1e-9, 0.5, 1.0], dtype=torch.float64), eps)
            assert found.weighted.isfinite().all()
            assert (found.weighted >= 0).all()


@pytest.mark.parametrize("gamma", [0, -1])
def test_a_cap_of_nothing_is_refused(gamma: float) -> None:
    """A γ that would weigh everything with zero or less is out of range."""
    with pytest.raises(ConfigError, match=f"gamma = {gamma} is out of range"):
        build(WEIGHTINGS, {"name": "min_snr", "gamma": gamma})


def test_learned_variance_settles_at_the_logarithm_of_the_expected_loss() -> None:
    """Karras et al. 2024, eq. 15: trained on losses that scatter, exp(u) becomes their mean at each level."""
    schedule, t = EDM(), torch.tensor([2e-4, 3e-3, 0.02, 0.4], dtype=torch.float64).repeat(64)
    loss = torch.distributions.Exponential(1.0).icdf((torch.arange(64).double() + 0.5) / 64).repeat_interleave(4)
    loss = loss * torch.tensor([0.03, 0.4, 7.0, 50.0], dtype=torch.float64).repeat(64)
    weighting = build(WEIGHTINGS, {"name": "learned", "base": "none"}).double()
    ones = torch.ones_like(t)
    optimiser = torch.optim.LBFGS(weighting.parameters(), max_iter=300, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = weighting(loss, ones, schedule, t, 0.5).mean()
        total.backward()
        return total.detach()

    start = closure()
    torch.testing.assert_close(start, loss.mean())  # at first u = 0: the loss as it is
    optimiser.step(closure)
    with torch.no_grad():
        u = weighting(0 * loss, ones, schedule, t, 0.5)  # what is left without a loss
    torch.testing.assert_close(u[:4].exp(), loss.reshape(64, 4).mean(0), rtol=1e-4, atol=0)
    assert closure() < start


# --- the expectation


@every_schedule
def test_exact_denoiser_costs_the_posterior_variance(schedule: Schedule) -> None:
    """The loss of the best possible network, integrated over data and noise, is E Var[x0 | x_t] by sums over a lattice."""
    column = torch.tensor([[-0.7], [0.5]], dtype=torch.float64)
    model = Mixture(Gaussian(schedule=schedule), weights=torch.tensor([0.3, 0.7], dtype=torch.float64), means=column,
                    covariances=torch.tensor([0.3**2, 0.15**2], dtype=torch.float64).reshape(2, 1, 1))
    nodes, mass = (torch.from_numpy(v) for v in np.polynomial.hermite_e.hermegauss(90))
    mass = mass / mass.sum()
    x0 = (column + torch.tensor([[0.3], [0.15]], dtype=torch.float64) * nodes)[..., None].expand(2, 90, 90)
    eps = nodes.expand(2, 90, 90)
    share = model.weights[:, None, None] * mass[:, None] * mass
    lattice = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    p = (model.weights * torch.exp(-0.5 * ((lattice[:, None] - column[:, 0]) / torch.tensor([0.3, 0.15])) ** 2)
         / torch.tensor([0.3, 0.15])).sum(1)
    for ratio in (0.2, 1.0):
        t = schedule.time_at_ratio(torch.tensor(ratio, dtype=torch.float64))
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        seen = torch.linspace(-3, 3, 1201, dtype=torch.float64)[:, None] * math.hypot(alpha, sigma) * 1.5
        joint = p * torch.exp(-((seen - alpha * lattice) ** 2) / (2 * sigma**2))
        joint = joint / joint.sum()
        rows = joint.sum(1)
        mean = joint @ lattice / rows.clamp_min(1e-300)
        variance = float((joint @ lattice**2).sum() - (rows * mean**2).sum())
        for prediction in ("x0", "v", "edm"):
            def best(x: Tensor, c: Tensor, prediction: Prediction = prediction) -> Tensor:  # type: ignore[assignment]
                return convert(model(x, c).mean, "x0", prediction, x, schedule, c[:, None], SIGMA_DATA)

            n = share.numel()
            found = make(best, schedule, prediction, name="edm")(  # type: ignore[arg-type]
                x0.reshape(n, 1), t.expand(n), eps.reshape(n, 1)
            )
            assert float((share.flatten() * found.x0_error).sum()) == pytest.approx(variance, rel=1e-5)
            weight = (ratio**2 + SIGMA_DATA**2) / (ratio * SIGMA_DATA) ** 2
            assert float((share.flatten() * found.weighted).sum()) == pytest.approx(weight * variance, rel=1e-5)


def test_only_the_weighted_loss_is_trained_on() -> None:
    """`x0_error` is a figure to look at: it carries no gradient, while the weighted loss reaches network and weighting."""
    gain = nn.Parameter(torch.ones((), dtype=torch.float64))
    x0, t, eps = batch(4)
    loss = make(lambda x, t: gain * x + 0 * t.sum(), Linear(), "v", name="learned")
    found = loss(x0, t, eps)
    assert not found.x0_error.requires_grad
    found.weighted.mean().backward()
    assert float(gain.grad) != 0
    assert any(bool(parameter.grad.abs().sum() > 0) for parameter in loss.weighting.parameters())


# --- times


def mode_cdf(t: Any, scale: float) -> Any:
    """Of f(u) = 1 - u - s (cos^2(π u / 2) - 1 + u), u uniform, as Esser et al. 2024 write it: f falls, so it is 1 - u."""
    u = np.linspace(0, 1, 200_001)
    return 1 - np.interp(t, (1 - u - scale * (np.cos(np.pi * u / 2) ** 2 - 1 + u))[::-1], u[::-1])


CDFS: list[tuple[str, dict[str, float], Schedule, Any]] = [
    ("uniform", {}, Linear(), lambda t: t),
    ("logit_normal", {}, Rectified(), lambda t: stats.norm.cdf(np.log(t / (1 - t)))),
    ("logit_normal", {"mean": -0.5, "std": 0.7}, Linear(), lambda t: stats.norm.cdf(np.log(t / (1 - t)), -0.5, 0.7)),
    ("mode", {}, Cosine(), lambda t: mode_cdf(t, 0.8)),
    ("mode", {"scale": -0.9}, Rectified(), lambda t: mode_cdf(t, -0.9)),
    ("adaptive", {"base": "mode"}, Cosine(), lambda t: mode_cdf(t, 0.8)),  # as long as no loss was seen
    ("log_normal", {}, EDM(), lambda t: stats.lognorm.cdf(80 * t, 1.2, scale=math.exp(-1.2))),
    ("log_normal", {"mean": 0.4, "std": 1.7}, Rectified(), lambda t: stats.norm.cdf(np.log(t / (1 - t)), 0.4, 1.7)),
    ("log_uniform", {}, Rectified(), lambda t: np.log(t / (1 - t) / 0.001) / np.log(1e4)),
    ("log_uniform", {"low": 0.01, "high": 1.0}, EDM(), lambda t: np.log(80 * t / 0.01) / np.log(100)),
    ("log_normal", {"std": 0.5}, Cosine(offset=0.0), lambda t: stats.norm.cdf(np.log(np.tan(np.pi * t / 2)), -1.2, 0.5)),
]
every_cdf = pytest.mark.parametrize(
    ("name", "settings", "schedule", "cdf"), [pytest.param(*case, id=f"{case[0]}-{i}") for i, case in enumerate(CDFS)]
)


def test_every_distribution_has_its_test() -> None:
    """No registered distribution of times goes without a closed form here, nor a weighting."""
    assert {case[0] for case in CDFS} == set(TIMES) - {"levels"}  # they have theirs with the denoisers that have levels
    assert {*X0_WEIGHTS, "none"} == set(WEIGHTINGS)


@every_cdf
def test_times_have_the_distribution_they_name(name: str, settings: dict[str, float], schedule: Schedule, cdf: Any) -> None:
    """Independent draws pass a Kolmogorov-Smirnov test against scipy's distribution, and lie strictly inside."""
    t = build(TIMES, {"name": name, "stratify": 1, **settings}).draw(0, np.arange(4000), schedule).numpy()
    assert 0 < t.min() < t.max() < 1
    assert stats.kstest(t, cdf).pvalue > 1e-3
    assert abs(np.corrcoef(t[1:], t[:-1])[0, 1]) < 4 / 4000**0.5


@every_cdf
@pytest.mark.parametrize("stratify", [2, 64])
def test_each_group_covers_each_slice_once(
    name: str, settings: dict[str, float], schedule: Schedule, cdf: Any, stratify: int
) -> None:
    """In every group each of the equal slices of the distribution is hit exactly once, somewhere at random within it."""
    t = build(TIMES, {"name": name, "stratify": stratify, **settings}).draw(3, np.arange(50 * stratify), schedule).numpy()
    place = cdf(t) * stratify
    slices = np.sort(np.floor(place).astype(int).reshape(50, stratify), 1)
    assert (slices == np.arange(stratify)).all()
    assert stats.kstest(place % 1, "uniform").pvalue > 1e-3


@every_times
@pytest.mark.parametrize("stratify", [1, 64])
def test_times_depend_on_the_position_alone(name: str, stratify: int) -> None:
    """However the stream is cut into batches or shuffled, a position has its time; another seed gives another."""
    times = build(TIMES, {"name": name, "stratify": stratify})
    positions = np.arange(1000, 1200)
    whole = times.draw(5, positions, EDM())
    pieces = [times.draw(5, part, EDM()) for part in np.split(positions, [1, 7, 70, 150])]
    torch.testing.assert_close(torch.cat(pieces), whole, rtol=4e-16, atol=0)  # the logistic function rounds by its place
    order = np.random.default_rng(0).permutation(200)
    torch.testing.assert_close(times.draw(5, positions[order], EDM()), whole[order], rtol=4e-16, atol=0)
    assert torch.equal(times.draw(5, positions, EDM()), whole)
    if name != "levels":  # in groups that they divide, those are where they are
        assert not bool((times.draw(6, positions, EDM()) == whole).any())
    assert whole.dtype == torch.float64


@every_times
def test_stratifying_steadies_the_mean(name: str) -> None:
    """Over groups, the mean of stratified times scatters far less than that of independent ones."""
    stratified, independent = (
        build(TIMES, {"name": name, "stratify": stratify}).draw(1, np.arange(3200), Rectified()).reshape(50, 64).mean(1)
        for stratify in (64, 1)
    )
    assert float(stratified.std()) < 0.3 * float(independent.std())


@every_times
@pytest.mark.parametrize("stratify", [0, -1, 10**6])
def test_groups_of_no_size_are_refused(name: str, stratify: int) -> None:
    """A group has 1 to 65,536 members."""
    with pytest.raises(ConfigError, match=f"stratify = {stratify}|stratify = 1e[+]06"):
        build(TIMES, {"name": name, "stratify": stratify})


def test_the_mode_distribution_reaches_the_ends() -> None:
    """A share of about 0.001 / (1 + scale) within 0.001 of either end; too strong a scale would not be a distribution."""
    t = build(TIMES, {"name": "mode", "stratify": 1}).draw(0, np.arange(400_000), Linear())
    for share in (float((t < 0.001).double().mean()), float((t > 0.999).double().mean())):
        assert share == pytest.approx(0.001 / 1.8, rel=0.25)
    for scale in (-1.1, 1.8, math.nan):
        with pytest.raises(ConfigError, match=r"scale = .* is out of range"):
            build(TIMES, {"name": "mode", "scale": scale})


@pytest.mark.parametrize("name", ["logit_normal", "log_normal"])
def test_a_normal_of_no_width_is_refused(name: str) -> None:
    """The standard deviation lies between 0 and 100, both excluded."""
    for std in (0.0, -1.0, 100.0, math.nan):
        with pytest.raises(ConfigError, match=r"std = .* is out of range"):
            build(TIMES, {"name": name, "std": std})
