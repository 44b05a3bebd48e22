"""Distributions that samplers with noise produce, against exact ones, and the samplers that refuse.

Two ways to see a bias. Where the data is one Gaussian each step is affine in the state and the noise, so the responses to
unit impulses give the mean and covariance without sampling error. Where it is a mixture, 200,000 samples are compared
with exact moments in units of the standard error; seeds are fixed.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import FastDraws
from exact import Pair, Points
from pellucid.core.errors import UnsupportedError
from pellucid.denoisers.mixture import Mixture
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.processes.process import Process
from pellucid.samplers import samplers
from pellucid.samplers.ancestral import Ancestral, PosteriorSampling
from pellucid.samplers.consistency import Consistency
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolverSDE
from pellucid.samplers.runge_kutta import Euler, Heun
from pellucid.samplers.sampler import Sampler
from pellucid.schedules.additive import Additive
from pellucid.schedules.edm import EDM
from pellucid.schedules.rectified import Rectified

N, BLOCKS = 200_000, 10
COUNTS = (100, 200, 400)
PROCESSES: dict[str, Process] = {
    "rectified": Gaussian(schedule=Rectified()),
    "edm": Gaussian(schedule=EDM()),
    "additive": AdditiveChain(schedule=Additive(steps=1200), noise_kind="gaussian"),
}
SAMPLING: list[Sampler] = [PosteriorSampling(), Consistency()]
STOCHASTIC: list[Sampler] = [
    Ancestral(),
    DDIM(eta=0.5),
    Euler(churn=20.0),
    Heun(churn=20.0),
    DPMSolverSDE(solver_order=2),
]
"""DDIM with eta = 1 and SDE-DPM-Solver++ 1 equal ancestral sampling on every path, which is a test of its own."""
ONE = torch.ones((), dtype=torch.float64)


def levels(process: Process, steps: int, high: float, low: float) -> Tensor:
    """Times from sigma / alpha = high to low, uniform in log-SNR; of the chain every k-th level, over 400 or 800 levels."""
    t = process.schedule.time_at_ratio(high * (low / high) ** (torch.arange(steps + 1, dtype=torch.float64) / steps))
    if isinstance(process, AdditiveChain):
        first, last = (process.snap(t[[0, -1]]) * process.chain.steps).tolist()
        span = 400 * max(1, round((first - last) / 400))
        t = (last + torch.linspace(span, 0, steps + 1, dtype=torch.float64)) / process.chain.steps
    return t


def name(sampler: Sampler) -> str:
    settings = {key: getattr(sampler, key) for key in ("eta", "churn", "solver_order") if hasattr(sampler, key)}
    return "-".join([samplers.name_of(sampler), *(f"{key}={value}" for key, value in settings.items())])


# One Gaussian, exactly -----------------------------------------------------------------------------------------------------


class Impulses:
    """Noise that is 1 in sample k at the k-th call and 0 elsewhere; samples 0 and -1 get none."""

    def __init__(self, n: int) -> None:
        self.n, self.calls = n, 0

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        self.calls += 1
        z = torch.zeros(self.n, *shape, dtype=torch.float64)
        z[self.calls] = 1
        return z

    def uniform(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return torch.full((self.n, *shape), 0.5, dtype=torch.float64)


def gaussian(process: Process) -> Mixture:
    """Independent coordinates of unequal variance, so that one impulse tells the response of each."""
    mean, covariance = torch.tensor([[0.7, -0.4]]).double(), torch.diag(torch.tensor([0.04, 0.5]).double())
    return Mixture(process, weights=torch.ones(1, dtype=torch.float64), means=mean, covariances=covariance[None])


def exact_bias(sampler: Sampler, process: Process, steps: int) -> tuple[Tensor, Tensor]:
    """Errors of mean and variance at the end, relative to the exact deviation and variance."""
    model, grid = gaussian(process), levels(process, steps, 10.0, 0.05)
    draws = Impulses(2 * steps + 2)
    (mean, covariance), (end_mean, end_covariance) = model.moments(grid[0]), model.moments(grid[-1])
    x = mean.repeat(draws.n, 1)
    x[-1] += 1
    found = sampler.sample(model, x, grid, draws=draws)
    assert draws.calls > 0.9 * steps, "noise was drawn"
    response = (found - found[0]).square()
    variance = response[:-1].sum(0) + response[-1] * covariance.diagonal()
    expected = end_covariance.diagonal()
    return (found[0] - end_mean) / expected.sqrt(), variance / expected - 1


@pytest.mark.parametrize("kind", PROCESSES)
@pytest.mark.parametrize("sampler", STOCHASTIC, ids=name)
def test_bias_shrinks_with_the_declared_weak_order(sampler: Sampler, kind: str) -> None:
    """Doubling the steps divides the error of the variance by 2^order or more (0.2 less in the order); the mean is exact."""
    found = [exact_bias(sampler, PROCESSES[kind], steps) for steps in COUNTS]
    assert max(float(mean.abs().max()) for mean, _ in found) < 1e-10
    variances = torch.stack([variance.abs() for _, variance in found])
    orders = (variances[:-1] / variances[1:]).log2()
    assert float(orders.min()) > sampler.order - 0.2, (orders, variances)


@pytest.mark.parametrize("sampler", SAMPLING, ids=name)
@pytest.mark.parametrize("kind", PROCESSES)
def test_exact_samples_give_no_bias(kind: str, sampler: Sampler) -> None:
    """With draws from p(x0 | x_t) mean and variance are kept at every number of steps."""
    for steps in (1, 10, 400):
        mean, variance = exact_bias(sampler, PROCESSES[kind], steps)
        assert float(torch.cat([mean, variance]).abs().max()) < 1e-10


@pytest.mark.parametrize("kind", PROCESSES)
def test_first_order_samplers_agree_on_every_path(kind: str) -> None:
    """DDIM with eta = 1 and SDE-DPM-Solver++ 1 are ancestral sampling, sample by sample."""
    process = PROCESSES[kind]
    model, grid = Pair(process), levels(process, 100, 10.0, 0.05)
    ends = []
    for sampler in (Ancestral(), DDIM(eta=1.0), DPMSolverSDE(solver_order=1)):
        draws = FastDraws(64)
        ends.append(sampler.sample(model, model.draw(draws, grid[0]), grid, draws=draws))
    assert max(float((end - ends[0]).abs().max()) for end in ends) < 1e-10


# A mixture, by sampling ----------------------------------------------------------------------------------------------------


def deviations(x: Tensor, mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of the means and of the covariances' upper triangle, and their standard errors."""
    centred = x - mean
    i, j = torch.triu_indices(*covariance.shape)
    each = torch.cat([centred, centred[:, i] * centred[:, j] - covariance[i, j]], 1)
    return each.mean(0), each.std(0) / sqrt(len(x))


class QuickDraws(FastDraws):
    """Normal numbers rounded to single precision, which are drawn five times as fast."""

    def normal(self, purpose: str, step: int, shape: Sequence[int]) -> Tensor:  # noqa: ARG002
        return torch.randn(self.n, *shape, generator=self.generator).double()


def run(sampler: Sampler, model: Pair | Points | Mixture, grid: Tensor) -> Tensor:
    """N samples from exact draws at grid[0], in blocks that fit a core's cache, two at a time."""

    def block(seed: int) -> Tensor:
        torch.set_num_threads(1)
        draws = QuickDraws(N // BLOCKS, 1000 * len(grid) + seed)
        return sampler.sample(model, model.draw(draws, grid[0]), grid, draws=draws)

    with ThreadPoolExecutor(2) as pool:
        return torch.cat(list(pool.map(block, range(BLOCKS))))


def bias(sampler: Sampler, model: Mixture, grid: Tensor) -> tuple[Tensor, Tensor]:
    return deviations(run(sampler, model, grid), *model.moments(grid[-1]))


def assert_halves(found: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Biases at 100, 200 and 400 steps: clearly seen, then half as large within the errors, at last below 3 of them."""
    assert float((found[0][0] / found[0][1]).abs().max()) > 3
    for (coarse, coarse_error), (fine, fine_error) in pairwise(found):
        assert bool(((fine - coarse / 2).abs() < 3 * torch.hypot(fine_error, coarse_error / 2)).all()), (coarse, fine)
    assert float((found[-1][0] / found[-1][1]).abs().max()) < 3


def test_fast_pair_is_the_mixture() -> None:
    """The oracle of these tests equals the library's exact denoiser."""
    model = Pair(PROCESSES["rectified"])
    x = 2 * torch.randn(50, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for t in (0.05, 0.5, 0.9):
        torch.testing.assert_close(model(x, t * ONE).mean, Mixture.forward(model, x, t * ONE).mean, atol=1e-12, rtol=0)


def test_ancestral_bias_on_a_mixture_halves_and_vanishes_in_the_noise() -> None:
    """Means and covariances of 200,000 samples through the noise levels where the components separate.

    From sigma / alpha = 2 to 0.2 the first-order bias is about 5 standard errors at 100 steps and 1.3 at 400.
    """
    model = Pair(PROCESSES["rectified"])
    assert_halves([bias(Ancestral(), model, levels(model.process, n, 2.0, 0.2)) for n in COUNTS])


@pytest.mark.parametrize(
    ("sampler", "kind"),
    [
        (DDIM(eta=0.5), "additive"),
        (DPMSolverSDE(solver_order=2), "rectified"),
        (Heun(churn=20.0), "edm"),
    ],
    ids=["ddim", "dpmpp_sde", "heun"],
)
def test_moments_of_a_mixture(sampler: Sampler, kind: str) -> None:
    """Means and covariances of 200,000 samples after 400 steps lie within 3 standard errors of the exact ones."""
    model = Pair(PROCESSES[kind])
    found, error = bias(sampler, model, levels(model.process, 400, 2.0, 0.2))
    assert float((found / error).abs().max()) < 3, found / error


@pytest.mark.parametrize("sampler", SAMPLING, ids=name)
@pytest.mark.parametrize("kind", ["rectified", "additive"])
def test_exact_samples_give_the_mixture_in_few_steps(kind: str, sampler: Sampler) -> None:
    """From t = 1 to the data, the moments of the three-component mixture are exact in one step and in four."""
    base = Mixture.example()
    model = Mixture(PROCESSES[kind], weights=base.weights, means=base.means, covariances=base.covariances)
    for steps in (1, 4):
        found, error = bias(sampler, model, torch.linspace(1, 0, steps + 1, dtype=torch.float64))
        assert float((found / error).abs().max()) < 3, found / error


# Uniform increments --------------------------------------------------------------------------------------------------------

POINTS = torch.tensor([-1.0, 0.2, 1.1], dtype=torch.float64)
WEIGHTS = torch.tensor([0.5, 0.2, 0.3], dtype=torch.float64)

COARSE = AdditiveChain(schedule=Additive(steps=6, tau=3.0, increment_0=0.5), noise_kind="uniform")
"""Six increments, the largest as wide as the data: posteriors far from those of Gaussian noise."""


@cache
def coarse() -> Points:
    return Points(COARSE, POINTS, WEIGHTS, reach=8.0, spacing=2e-4)


def fine(steps: int) -> Points:
    """Up to noise of deviation 2 in many increments."""
    largest = Additive(steps=steps, tau=steps / 5).increment_0
    assert largest is not None  # of the default, which ends at deviation 20
    chain = AdditiveChain(schedule=Additive(steps=steps, tau=steps / 5, increment_0=largest / 100), noise_kind="uniform")
    return Points(chain, POINTS, WEIGHTS, reach=14.0, spacing=0.01)


def weight_errors(x: Tensor) -> tuple[Tensor, Tensor]:
    """Errors of each point's share among the samples, and of their mean and variance, with standard errors."""
    mean = WEIGHTS @ POINTS
    near = (x - POINTS).abs() < 1e-6
    moments, errors = deviations(x, mean[None], (WEIGHTS @ (POINTS - mean) ** 2)[None, None])
    shares = near.double().mean(0) - WEIGHTS
    return torch.cat([shares, moments]), torch.cat([(WEIGHTS * (1 - WEIGHTS) / len(x)).sqrt(), errors])


def full(steps: int) -> Tensor:
    return torch.linspace(1, 0, steps + 1, dtype=torch.float64)


def test_oracle_of_uniform_sums_equals_the_characteristic_function() -> None:
    """Densities by convolution equal the inversion (1/π) ∫ prod_k sinc(a_k w) cos(w x) dw."""
    chain, model = COARSE, coarse()
    halves = (3 * chain.chain.increments()).sqrt().numpy()
    w, x = np.linspace(0, 400, 400_001), np.array([0.0, 0.4, 1.3, 2.6])
    for k in (3, 6):
        transform = np.prod(np.sinc(halves[:k, None] * w / np.pi), 0)
        expected = [np.trapezoid(transform * np.cos(w * at), w) / np.pi for at in x]
        np.testing.assert_allclose(np.interp(x, model.sums, model.densities[k - 1]), expected, atol=2e-6)


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_consistency_is_exact_for_uniform_increments(steps: int) -> None:
    """With draws from the exact posterior the points keep their weights, however few and wide the increments."""
    found, error = weight_errors(run(Consistency(), coarse(), full(steps)))
    assert float((found / error).abs().max()) < 3, found / error


def test_the_kind_of_noise_shows() -> None:
    """The same with Gaussian noise of the same variance is seen to be wrong: the test above can tell the two apart."""
    model, draws = copy(coarse()), FastDraws(N)
    start = model.draw(draws, ONE)
    model.process = replace(COARSE, noise_kind="gaussian")
    found, error = weight_errors(Consistency().sample(model, start, full(6), draws=draws))
    assert float((found / error).abs().max()) > 6


def test_ancestral_is_valid_for_small_uniform_increments() -> None:
    """From noise of deviation 2 the bias in weights, mean and variance halves with the increments and vanishes in the noise.

    Matching mean and variance of each step is not exact for uniform noise: six wide increments miss by far.
    """
    assert_halves([weight_errors(run(Ancestral(), fine(steps), full(steps))) for steps in COUNTS])
    wrong, error = weight_errors(run(Ancestral(), coarse(), full(6)))
    assert float((wrong / error).abs().max()) > 10


# What is refused -----------------------------------------------------------------------------------------------------------


def test_renoising_a_mean_is_refused() -> None:
    """Every sampler that needs samples of p(x0 | x_t) says so by name when the denoiser has only a mean."""
    model = Pair(PROCESSES["edm"])
    renoising = [samplers[key].example() for key in samplers if samplers[key].needs == "sample"]
    assert [type(sampler) for sampler in renoising] == [PosteriorSampling, Consistency]
    for sampler in renoising:
        expected = f"{type(sampler).__name__} needs a sample of .* Pair offers only: mean.*Re-noising a mean is not a sample"
        with pytest.raises(UnsupportedError, match=expected):
            sampler.sample(model, torch.zeros(4, 2).double(), full(2), draws=FastDraws(4))


@pytest.mark.parametrize("key", samplers)
def test_samplers_of_gaussian_noise_refuse_another_kind(key: str) -> None:
    """With uniform increments only ancestral and consistency sampling run; all others say by name what they assume."""
    sampler, model = samplers[key].example(), coarse()
    if key in ("ancestral", "consistency"):
        assert bool(sampler.sample(model, torch.zeros(4, 1).double(), full(6), draws=FastDraws(4)).isfinite().all())
        return
    name = type(getattr(sampler, "serial", sampler)).__name__
    reason = "needs the logits" if sampler.needs == "logits" else "assumes Gaussian noise, but AdditiveChain"
    with pytest.raises(UnsupportedError, match=f"{name} {reason}"):
        sampler.sample(model, torch.zeros(4, 1).double(), full(6), draws=FastDraws(4))


@pytest.mark.parametrize("sampler", [*STOCHASTIC, *SAMPLING], ids=name)
def test_noise_needs_a_source(sampler: Sampler) -> None:
    """A sampler that says it is stochastic asks for `draws`, and does not fall back on a hidden generator."""
    assert sampler.stochastic
    process = PROCESSES["edm"]
    with pytest.raises(UnsupportedError, match="pass draws"):
        sampler.sample(gaussian(process), torch.zeros(4, 2).double(), levels(process, 2, 2.0, 0.2))
