"""Processes: marginals, noise of every kind, the way back given the clean data, priors and admissible times."""

import itertools
import math
from typing import Any, Literal

import pytest
import torch
from scipy import stats
from torch import Tensor

from draws import FastDraws
from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.random import Keyed
from pellucid.processes import noises, processes
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.continuous import Continuous
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.schedules.additive import Additive
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.table import Table

Direction = Literal["generation", "noising"]
PROCESSES: dict[str, Continuous] = {
    **{name: processes[name].example() for name in processes if issubclass(processes[name], Continuous)},
    "additive-gaussian": AdditiveChain(schedule=Additive(steps=10)),
    "additive-noising": AdditiveChain(schedule=Additive(steps=10, direction="noising"), noise_kind="uniform"),
    "additive-limit": AdditiveChain(schedule=Additive(steps=10, continuous=True)),
    "zero-terminal-snr": Gaussian(schedule=Table.example()),
    "narrow": Gaussian(schedule=EDM(sigma_max=0.6)),
}
every_process = pytest.mark.parametrize("process", [pytest.param(value, id=key) for key, value in PROCESSES.items()])
every_kind = pytest.mark.parametrize("kind", list(noises))
every_schedule = pytest.mark.parametrize("schedule", [pytest.param(schedules[key].example(), id=key) for key in schedules])


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def chain(direction: Direction, noise_kind: str = "uniform", steps: int = 4, tau: float = 1.5) -> AdditiveChain:
    return AdditiveChain(
        schedule=Additive(steps=steps, tau=tau, increment_0=0.9, direction=direction), noise_kind=noise_kind
    )


def excess_kurtosis(x: Tensor) -> float:
    centred = x - x.mean()
    return float((centred**4).mean() / (centred**2).mean() ** 2 - 3)


# --- noise


@every_kind
def test_noise_has_mean_0_and_variance_1(kind: str) -> None:
    """Every kind of noise is standardised, within four standard errors of 400,000 draws."""
    z = build(noises, {"name": kind}).draw(FastDraws(400_000), "z", 0, ())
    assert z.dtype == torch.float64
    assert abs(z.mean()) < 4 / len(z) ** 0.5
    assert abs(z.var() - 1) < 4 * (2 + excess_kurtosis(z)) ** 0.5 / len(z) ** 0.5


@every_kind
def test_stable_says_whether_a_sum_is_of_the_same_kind(kind: str) -> None:
    """(z + z') / √2 has the distribution of z exactly when the kind calls itself stable."""
    noise, draws = build(noises, {"name": kind}), FastDraws(20_000)
    one, two, other = (noise.draw(draws, "z", 0, ()) for _ in range(3))
    p = stats.ks_2samp(((one + two) / 2**0.5).numpy(), other.numpy()).pvalue
    assert p > 1e-3 if noise.stable else p < 1e-9


@every_kind
def test_noise_belongs_to_the_sample_not_to_the_batch(kind: str) -> None:
    """A sample's numbers do not depend on who shares its batch."""
    noise = build(noises, {"name": kind})
    together = noise.draw(Keyed(1, [4, 9, 2]), "z", 3, (2, 5))
    assert torch.equal(together[1:2], noise.draw(Keyed(1, [9]), "z", 3, (2, 5)))
    assert not torch.equal(together, noise.draw(Keyed(1, [4, 9, 2]), "z", 4, (2, 5)))


class Even:
    """`Draws` whose uniform numbers are the midpoints of 100,000 equal slices: moments become sums without chance."""

    def uniform(self, purpose: str, step: int, shape: Any) -> Tensor:  # noqa: ARG002
        return (torch.arange(100_000, dtype=torch.float64) + 0.5) / 100_000


def test_uniform_noise_is_uniform_exactly() -> None:
    """Over all its uniform numbers at once: variance 1, excess kurtosis -6/5, range ±√3, all densities equal."""
    z = build(noises, {"name": "uniform"}).draw(Even(), "z", 0, ())
    assert float(z.mean()) == pytest.approx(0, abs=1e-12)
    assert float((z**2).mean()) == pytest.approx(1, abs=1e-9)
    assert excess_kurtosis(z) == pytest.approx(-1.2, abs=1e-9)
    assert float(z.max()) == pytest.approx(3**0.5, abs=1e-4)
    torch.testing.assert_close(z.diff(), torch.full_like(z[1:], float(z[1] - z[0])), rtol=1e-6, atol=0)


@every_process
def test_noise_of_a_process_is_standard_at_every_time(process: Continuous) -> None:
    """eps has mean 0 and variance 1 whatever the time, also in a batch of many times, and so has a sampler's fresh noise."""
    n = 40_000
    t = process.snap(torch.linspace(0.01, 1, 40, dtype=torch.float64)).repeat(n // 40)
    for eps in (process.noise(FastDraws(n), "eps", 0, (3,), t), process.fresh_noise(FastDraws(n), "eps", 0, (3,))):
        assert eps.shape == (n, 3)
        assert abs(eps.mean()) < 4 / eps.numel() ** 0.5
        assert abs(eps.var() - 1) < 4 * (2 / eps.numel()) ** 0.5
        by_time = eps.reshape(-1, 40, 3).transpose(0, 1).flatten(1)
        assert float((by_time.var(1) - 1).abs().max()) < 4.5 * (2 / by_time.shape[1]) ** 0.5


@every_process
def test_gaussian_says_whether_noise_is_normal(process: Continuous) -> None:
    """A process calls itself Gaussian exactly when eps passes a test of normality at its shortest time."""
    first = process.snap(number(0.02))
    p = stats.kstest(process.noise(FastDraws(20_000), "eps", 0, (), first).numpy(), "norm").pvalue
    assert p > 1e-3 if process.gaussian else p < 1e-9


# --- the additive chain


@pytest.mark.parametrize("direction", ["noising", "generation"])
def test_chain_variance_equals_closed_form_and_path(direction: Direction) -> None:
    """After k steps: c_0 (1 - e^(-k/τ)) / (1 - e^(-1/τ)) noising, its mirror image generating; and that of real paths."""
    c0, tau, T, n = 0.9, 1.5, 4, 100_000
    process = chain(direction)
    whole = c0 * (1 - math.exp(-T / tau)) / (1 - math.exp(-1 / tau))
    path = torch.stack(list(process.increments(FastDraws(n), "eps", 0, ()))).cumsum(0)
    assert len(path) == T
    for k in range(1, T + 1):
        first = c0 * (1 - math.exp(-k / tau)) / (1 - math.exp(-1 / tau))
        rest = c0 * (1 - math.exp(-(T - k) / tau)) / (1 - math.exp(-1 / tau))
        closed = first if direction == "noising" else whole - rest
        t = torch.full((n,), k / T, dtype=torch.float64)
        corrupted = process.corrupt(torch.zeros(n, dtype=torch.float64), t, process.noise(FastDraws(n, k), "eps", 0, (), t))
        assert float(process.schedule.sigma(number(k / T)) ** 2) == pytest.approx(closed, rel=1e-12)
        for found in (path[k - 1], corrupted):
            assert float(found.var()) == pytest.approx(closed, rel=4 * (2 / n) ** 0.5)


@pytest.mark.parametrize("direction", ["noising", "generation"])
def test_noise_at_a_level_is_the_sum_of_its_increments(direction: Direction) -> None:
    """Not merely alike: the same draws, increment by increment, each sample up to its own level."""
    process, draws = chain(direction), Keyed(5, [3, 1, 4, 8])
    level = torch.tensor([1, 4, 2, 3])
    path = torch.stack(list(process.increments(draws, "eps", 7, (2, 3)))).cumsum(0)
    eps = process.noise(draws, "eps", 7, (2, 3), level / 4)
    found = process.corrupt(torch.zeros(4, 2, 3, dtype=torch.float64), level / 4, eps)
    torch.testing.assert_close(found, path[level - 1, torch.arange(4)], rtol=1e-12, atol=1e-12)
    alone = process.noise(Keyed(5, [4]), "eps", 7, (2, 3), number(0.5))
    torch.testing.assert_close(alone, eps[2:3], rtol=1e-12, atol=0)


@pytest.mark.parametrize("direction", ["noising", "generation"])
@pytest.mark.parametrize("k", [1, 2, 4])
def test_uniform_increments_keep_their_shape(direction: Direction, k: int) -> None:
    """The sum has excess kurtosis -6/5 Σ c_j² / (Σ c_j)² and ends at √3 Σ √c_j: neither normal nor uniform."""
    n = 400_000
    process = chain(direction)
    c = [0.9 * math.exp(-(j if direction == "noising" else 3 - j) / 1.5) for j in range(k)]
    x = process.noise(FastDraws(n), "eps", 0, (), number(k / 4)) * sum(c) ** 0.5
    assert excess_kurtosis(x) == pytest.approx(-1.2 * sum(v * v for v in c) / sum(c) ** 2, abs=4 * (24 / n) ** 0.5)
    end = 3**0.5 * sum(v**0.5 for v in c)
    assert 0.8 * end < float(x.abs().max()) <= end


@every_kind
def test_increments_are_independent(kind: str) -> None:
    """Keyed by sample as in real use, no two increments of a path have anything in common."""
    path = torch.stack(list(chain("noising", kind).increments(Keyed(0, [1, 2]), "eps", 0, (1000,)))).flatten(1)
    assert float((torch.corrcoef(path) - torch.eye(4)).abs().max()) < 4 / 2000**0.5


def test_gaussian_increments_are_drawn_as_one_and_sum_to_the_same() -> None:
    """One normal draw has the distribution of the path's end: both normal with the closed form's variance."""
    process, n = chain("generation", "gaussian"), 20_000
    path = sum(process.increments(FastDraws(n), "eps", 0, ()))
    once = process.noise(FastDraws(n, 1), "eps", 0, (), number(1)) * process.schedule.sigma(number(1))
    assert stats.ks_2samp(torch.as_tensor(path).numpy(), once.numpy()).pvalue > 1e-3
    assert torch.equal(process.noise(Keyed(0, [1]), "eps", 0, (2,), number(1)), Keyed(0, [1]).normal("eps", 0, (2,)))


def test_noise_at_time_zero_is_harmless() -> None:
    """At t = 0 corruption leaves clean data as it is, for uniform increments too."""
    process, t = chain("generation"), torch.tensor([0.0, 0.5], dtype=torch.float64)
    x_t = process.corrupt(torch.ones(2, 3, dtype=torch.float64), t, process.noise(FastDraws(2), "eps", 0, (3,), t))
    assert torch.equal(x_t[0], torch.ones(3, dtype=torch.float64))


def test_each_frame_may_have_its_own_level_of_uniform_noise() -> None:
    """With a time per frame, each frame's noise is that which the time gives to a whole sample."""
    process, draws = chain("generation"), Keyed(0, [2])
    t = torch.tensor([0.25, 1.0, 0.5], dtype=torch.float64)
    eps = process.noise(draws, "eps", 0, (1, 3, 2), t.reshape(1, 1, 3, 1))
    assert eps.shape == (1, 1, 3, 2)
    for frame, time in enumerate(t):
        whole = process.noise(draws, "eps", 0, (1, 3, 2), time)
        torch.testing.assert_close(eps[:, :, frame], whole[:, :, frame])


@pytest.mark.parametrize(("settings", "message"), [
    ({"schedule": Linear()}, r"came with schedule Linear, expected schedule.name = 'additive'"),
    ({"schedule": Additive(continuous=True), "noise_kind": "uniform"}, "limit of uniform increments is Gaussian"),
    ({"noise_kind": "unifrom"}, "Unknown noise 'unifrom': did you mean 'uniform'"),
], ids=str)
def test_chain_refuses_what_does_not_fit(settings: dict[str, Any], message: str) -> None:
    """A wrong schedule, a limit that does not exist and a misspelt noise are named when the process is made."""
    with pytest.raises(ConfigError, match=message):
        AdditiveChain(**settings)


# --- corruption


@every_process
@pytest.mark.parametrize("shape", [(), (4,), (4, 1, 1, 1), (4, 1, 3, 1), (4, 1, 3, 5)], ids=str)
def test_corruption_and_its_way_back_take_times_of_any_shape(process: Continuous, shape: tuple[int, ...]) -> None:
    """A time for all, per sample, per frame or per token: each element is corrupted as it would be alone."""
    generator = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 4, 2, 3, 5, generator=generator, dtype=torch.float64)
    t = 0.5 + 0.5 * torch.rand(shape, generator=generator, dtype=torch.float64)
    s = t - 0.4
    x_t = process.corrupt(x0, t, eps)
    mean, std = process.posterior(x_t, x0, t, s)
    full = t.reshape(shape + (1,) * (4 - len(shape))).expand_as(x0)
    std = std.expand_as(x0)
    for at in itertools.product(range(4), [1], range(3), [0, 4]):
        alone = process.corrupt(x0[at], full[at], eps[at])
        torch.testing.assert_close(x_t[at], alone, rtol=1e-13, atol=1e-13)
        centre, width = process.posterior(alone, x0[at], full[at], full[at] - 0.4)
        torch.testing.assert_close(torch.stack([mean[at], std[at]]), torch.stack([centre, width]), rtol=1e-12, atol=1e-12)


@every_process
def test_corruption_has_the_marginal_it_promises(process: Continuous) -> None:
    """x_t of many draws has mean alpha x0 and standard deviation sigma; the dtype of the data is kept."""
    n = 50_000
    for time in (0.3, 1.0):
        t = process.snap(number(time))
        x0 = torch.full((n, 2), 1.7)
        x_t = process.corrupt(x0, t, process.noise(FastDraws(n), "eps", 0, (2,), t))
        alpha, sigma = float(process.schedule.alpha(t)), float(process.schedule.sigma(t))
        assert x_t.dtype == torch.float32
        assert float(x_t.mean()) == pytest.approx(1.7 * alpha, abs=4 * sigma / x_t.numel() ** 0.5)
        assert float(x_t.std()) == pytest.approx(sigma, rel=4 / (2 * x_t.numel()) ** 0.5)


# --- q(x_s | x_t, x0)


def coefficients(process: Continuous, t: Tensor, s: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Factors of x_t and x0 in the posterior's mean, and its standard deviation."""
    one, zero = torch.ones_like(t), torch.zeros_like(t)
    (keep, std), (pull, _) = process.posterior(one, zero, t, s), process.posterior(zero, one, t, s)
    return keep, pull, std


@every_schedule
def test_posterior_equals_bayes_on_a_fine_grid(schedule: Schedule) -> None:
    """q(x_s | x_t, x0) ∝ q(x_s | x0) q(x_t | x_s), multiplied and integrated point by point."""
    process, x0 = Gaussian(schedule=schedule), number(0.8)
    for time, earlier, z in ((0.9, 0.3, 1.2), (0.5, 0.45, -0.7), (0.2, 0.02, 2.0)):
        t, s = number(time), number(earlier)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = ((schedule.alpha(v), schedule.sigma(v)) for v in (t, s))
        x_t = alpha_t * x0 + sigma_t * z
        x_s = alpha_s * x0 + sigma_s * torch.linspace(-12, 12, 400_001, dtype=torch.float64)
        ratio = alpha_t / alpha_s
        log_q = -((x_s - alpha_s * x0) ** 2) / (2 * sigma_s**2)
        log_q = log_q - (x_t - ratio * x_s) ** 2 / (2 * (sigma_t**2 - ratio**2 * sigma_s**2))
        q = log_q.softmax(0)
        centre = (q * x_s).sum()
        mean, std = process.posterior(x_t, x0, t, s)
        torch.testing.assert_close(mean, centre, rtol=1e-7, atol=1e-9)
        torch.testing.assert_close(std, (q * (x_s - centre) ** 2).sum().sqrt(), rtol=1e-6, atol=0)


@every_schedule
def test_posterior_after_corruption_is_corruption(schedule: Schedule) -> None:
    """Drawing x_t given x0, then x_s given both, gives q(x_s | x0): mean and variance add up, to the very ends."""
    process = Gaussian(schedule=schedule)
    t = torch.linspace(0.05, 1, 39, dtype=torch.float64)
    for share in (0.0, 0.1, 0.9, 0.999):
        s = share * t
        keep, pull, std = coefficients(process, t, s)
        torch.testing.assert_close(keep * schedule.alpha(t) + pull, schedule.alpha(s), rtol=1e-12, atol=1e-14)
        variance = keep**2 * schedule.sigma(t) ** 2 + std**2
        torch.testing.assert_close(variance, schedule.sigma(s) ** 2, rtol=1e-11, atol=1e-14)


def test_posterior_equals_ddpm() -> None:
    """Ho et al. 2020, eq. 7, from the betas alone, at every step of the published table."""
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bar = torch.cumprod(1 - betas, 0)
    before = torch.cat([torch.ones(1, dtype=torch.float64), bar[:-1]])
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    keep, pull, std = coefficients(Gaussian(schedule=Table.from_betas("linear")), t, t - 0.001)
    torch.testing.assert_close(pull, before.sqrt() * betas / (1 - bar), rtol=1e-7, atol=0)
    torch.testing.assert_close(keep[1:], ((1 - betas).sqrt() * (1 - before) / (1 - bar))[1:], rtol=1e-7, atol=0)
    torch.testing.assert_close((std**2)[1:], ((1 - before) / (1 - bar) * betas)[1:], rtol=1e-7, atol=0)
    assert abs(keep[0]) + std[0] < 1e-6  # the first step of the chain is undone without doubt


def test_posterior_of_uniform_noise_is_the_best_linear_one() -> None:
    """On real paths what the mean leaves is uncorrelated with x_t and has the promised deviation."""
    process, n = chain("generation"), 200_000
    path = torch.stack(list(process.increments(FastDraws(n), "eps", 0, ()))).cumsum(0)
    x0 = torch.full((n,), 0.4, dtype=torch.float64)
    x_s, x_t = x0 + path[1], x0 + path[3]
    mean, std = process.posterior(x_t, x0, number(1), number(0.5))
    left = x_s - mean
    assert float(left.std()) == pytest.approx(float(std), rel=4 / (2 * n) ** 0.5)
    assert abs(float(torch.corrcoef(torch.stack([left, x_t]))[0, 1])) < 4 / n**0.5


# --- priors and admissible times


@every_process
def test_prior_is_the_end_of_corruption(process: Continuous) -> None:
    """For data of known mean and deviation, the prior has the moments that corrupted data has at t = 1."""
    n, one = 100_000, number(1)
    data = 0.6 + 0.5 * FastDraws(n, 1).normal("data", 0, ())
    noise = [process.noise(FastDraws(n, seed), "eps", 0, (), one) for seed in (2, 3)]
    ended, prior = process.corrupt(data, one, noise[0]), process.prior(noise[1], mean=0.6, std=0.5)
    width = float(ended.std())
    assert float(prior.mean() - ended.mean()) == pytest.approx(0, abs=4 * width * (2 / n) ** 0.5)
    assert float(prior.std()) == pytest.approx(width, rel=4 / n**0.5)
    assert process.check_prior(0.5) == pytest.approx(float(0.5 / (-process.schedule.log_snr(one) / 2).exp()))


def test_a_prior_too_narrow_is_refused_with_numbers() -> None:
    """Data wider than the noise is refused: the message has both widths and what would do; as wide as it is the limit."""
    process = Gaussian(schedule=EDM(sigma_max=2.0))
    assert process.check_prior(2.0) == 1
    assert Gaussian(schedule=Cosine()).check_prior(1e6) == 0
    with pytest.raises(ConfigError) as error:
        process.check_prior(2.5)
    message = str(error.value)
    assert "deviation 2, what is left of the data 2.5" in message
    assert "sigma_1 is at least 25" in message
    assert "sigma_max, increment_0 or tau" in message
    assert Gaussian(schedule=EDM(sigma_max=25.0)).check_prior(2.5) == pytest.approx(0.1)  # the advice holds


@pytest.mark.parametrize("steps", [1, 10, 25, 41, 1000])
def test_snap_goes_up_to_the_next_level(steps: int) -> None:
    """Between two levels the noisier one is taken; a level stays, though k / T is rounded."""
    process = AdditiveChain(schedule=Additive(steps=steps), noise_kind="uniform")
    levels = torch.arange(steps + 1, dtype=torch.float64) / steps
    assert torch.equal(process.snap(levels), levels)
    t = torch.rand(5000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.equal(process.snap(t), levels[torch.searchsorted(levels, t)])


@every_process
def test_snapped_times_are_admissible(process: Continuous) -> None:
    """Snapping never goes down nor beyond 1, and snapped times stay where they are."""
    t = torch.linspace(0.001, 1, 997, dtype=torch.float64)
    snapped = process.snap(t)
    assert bool(((snapped >= t - 1e-9) & (snapped <= 1)).all())
    assert torch.equal(process.snap(snapped), snapped)
    continuous = getattr(process.schedule, "continuous", True)
    assert torch.equal(snapped, t) == bool(continuous)


def test_rectified_prior_ignores_the_data() -> None:
    """Under zero terminal SNR the prior is the noise itself, whatever the data."""
    eps = FastDraws(5).normal("eps", 0, (2,))
    assert torch.equal(Gaussian(schedule=Rectified()).prior(eps, mean=9.0, std=9.0), eps)
