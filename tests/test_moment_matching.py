"""Posterior guidance against posteriors that are known in closed form: of Gaussians exactly, of mixtures nearly."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from draws import FastDraws
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Mean
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.guidance.mask import Mask
from pellucid.guidance.moment_matching import FARTHEST, MomentMatching
from pellucid.guidance.observation import Observation
from pellucid.guidance.pooling import Pooling
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolver
from pellucid.samplers.grid import LogSNR
from pellucid.samplers.sampler import Sampler
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule

SCHEDULES = {"edm": EDM(sigma_max=20.0), "linear": Linear(), "rectified": Rectified()}
every_schedule = pytest.mark.parametrize("schedule", [pytest.param(value, id=key) for key, value in SCHEDULES.items()])
SIZE = 6
NOISE = 0.1


def line(x: Tensor) -> Tensor:
    """A plain function of no kind that the package knows: three weighted sums of the six values."""
    return x @ torch.tensor([[1.0, 0, 2, 0, 0, 1], [0, 1, 1, 1, 0, 0], [0.5, 0, 0, -1, 3, 0]], dtype=x.dtype).T


def pooled(x: Tensor) -> Tensor:
    return Pooling(factor=2)(x[:, None])[:, 0]


OPERATORS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda x: x, "mask": Mask(known=torch.tensor([1, 0, 1, 1, 0, 0])), "pooling": pooled, "function": line,
}  # fmt: skip
every_operator = pytest.mark.parametrize("operator", [pytest.param(value, id=key) for key, value in OPERATORS.items()])


def gaussian(schedule: Schedule) -> Mixture:
    """Six values that go together, some wide and some narrow."""
    draws = FastDraws(SIZE, 3)
    factor = draws.normal("factor", 0, (SIZE,)) * torch.linspace(0.1, 0.6, SIZE, dtype=torch.float64)
    mean = draws.normal("mean", 0, ())
    return mixture(schedule, torch.ones(1), mean[None], (factor @ factor.T + 0.01 * torch.eye(SIZE))[None])


def mixture(schedule: Schedule, weights: Tensor, means: Tensor, covariances: Tensor) -> Mixture:
    process = Gaussian(schedule=schedule)
    return Mixture(process, weights=weights.double(), means=means.double(), covariances=covariances.double())


def posterior(prior: Mixture, given: Observation) -> Mixture:
    """p(x0 | y) by Bayes' rule, with A as a matrix: the conditioned components, weighted by how well they explain y."""
    a, y, noise = given.operator(torch.eye(SIZE, dtype=torch.float64)).T, given.y[0], given.noise
    means, covariances, logs = [], [], []
    for weight, mean, covariance in zip(prior.weights, prior.means, prior.covariances, strict=True):
        total = a @ covariance @ a.T + noise**2 * torch.eye(len(a), dtype=torch.float64)
        gain = covariance @ a.T @ torch.linalg.inv(total)
        means.append(mean + gain @ (y - a @ mean))
        covariances.append(covariance - gain @ a @ covariance)
        explained = torch.distributions.MultivariateNormal(a @ mean, (total + total.T) / 2).log_prob(y)
        logs.append(weight.log() + explained)
    return mixture(prior.process.schedule, torch.stack(logs).softmax(0), torch.stack(means), torch.stack(covariances))


def observed(prior: Mixture, operator: Callable[[Tensor], Tensor], noise: float = NOISE) -> Observation:
    """Of a draw from the prior."""
    seen = operator(prior.draw(FastDraws(1, 7)))
    return Observation(operator=operator, y=seen + noise * FastDraws(1, 8).normal("z", 0, seen.shape[1:]), noise=noise)


def sampled(denoiser: Denoiser, x: Tensor, sampler: Sampler, steps: int) -> Tensor:
    """From x at t = 1."""
    grid = LogSNR(sigma_max=FARTHEST)(denoiser.process.schedule, steps)
    return sampler.sample(denoiser, x, grid, draws=FastDraws(len(x), 5))


@every_schedule
@every_operator
@pytest.mark.parametrize("noise", [0.01, NOISE, 3.0])
def test_the_posterior_mean_of_a_gaussian_is_exact(
    schedule: Schedule, operator: Callable[[Tensor], Tensor], noise: float
) -> None:
    """E[x0 | x_t, y] is that of the exact denoiser of p(x0 | y), at every noise level where x_t tells of the data."""
    prior = gaussian(schedule)
    given = observed(prior, operator, noise)
    truth = posterior(prior, given)
    t = torch.tensor([0.003, 0.02, 0.1, 0.4, 0.7, 0.9, 0.99], dtype=torch.float64)
    t = t[schedule.sigma(t) / schedule.alpha(t) < FARTHEST]
    x_t = truth.process.corrupt(truth.draw(FastDraws(len(t), 1)), t, FastDraws(len(t), 2).normal("eps", 0, (SIZE,)))
    with torch.no_grad():  # as samplers call it
        found = MomentMatching(prior, given, iterations=SIZE)(x_t, t).mean
    torch.testing.assert_close(found, truth(x_t, t).mean, rtol=0, atol=1e-7)
    assert float((found - prior(x_t, t).mean).abs().max()) > 0.02


@every_schedule
@every_operator
def test_samples_of_a_gaussian_have_the_posteriors_mean_and_covariance(
    schedule: Schedule, operator: Callable[[Tensor], Tensor]
) -> None:
    """From p(x_1 | y) to p(x0 | y): the way is an affine map, so seven points tell mean and covariance without chance.

    What is left are the sampler's own errors, in standard deviations of the prior.
    """
    prior = gaussian(schedule)
    given = observed(prior, operator)
    truth = posterior(prior, given)
    centre, spread = truth.moments(1.0)
    points = torch.cat([centre[None], centre + torch.linalg.cholesky(spread).T])
    found = sampled(MomentMatching(prior, given, iterations=SIZE), points, DPMSolver(), 60)
    moved = found[1:] - found[0]
    (mean, covariance), wide = truth.moments(), prior.moments()[1].diagonal().sqrt()
    assert float(((found[0] - mean) / wide).abs().max()) < 0.004
    assert float(((moved.T @ moved - covariance) / wide / wide[:, None]).abs().max()) < 0.004
    assert float(((prior.moments()[0] - truth.moments()[0]) / wide).norm()) > 0.3


@pytest.mark.parametrize("name", ["mask", "pooling"])
def test_samples_of_a_mixture_are_near_the_posterior(name: str) -> None:
    """Where p(x0 | x_t) is no Gaussian the method is an approximation: the shares of modes that y allows come out nearly.

    Two modes differ in what is not seen and agree in what is, a third is ruled out by y.
    """
    operator = OPERATORS[name]
    hidden = {"mask": [0.0, 1, 0, 0, 1, 1], "pooling": [1.0, -1, 1, -1, 0, 0]}[name]
    means = torch.stack([torch.tensor(hidden), -torch.tensor(hidden), torch.full((SIZE,), 2.0)])
    prior = mixture(EDM(sigma_max=20.0), torch.tensor([0.5, 0.3, 0.2]), means, 0.04 * torch.eye(SIZE).expand(3, SIZE, SIZE))
    given = Observation(operator=operator, y=operator(prior.means[:1]), noise=NOISE)
    truth = posterior(prior, given)
    assert truth.weights.tolist() == pytest.approx([0.625, 0.375, 0], abs=1e-6)
    x_1 = 20 * FastDraws(2000, 4).normal("x", 0, (SIZE,))
    found = sampled(MomentMatching(prior, given, iterations=SIZE), x_1, DDIM(eta=1.0), 60)
    near = torch.cdist(found, truth.means).argmin(1).bincount(minlength=3) / len(found)
    assert near.tolist() == pytest.approx([0.625, 0.375, 0], abs=0.05)
    mean, covariance = truth.moments()
    assert float((found.mean(0) - mean).abs().max()) < 0.1
    assert float((found.T.cov() - covariance).abs().max()) < 0.1


@every_operator
def test_few_iterations_hold_samples_to_what_was_seen(operator: Callable[[Tensor], Tensor]) -> None:
    """Without noise, and with the three iterations of the default, A x0 is y to a hundredth of the prior's width."""
    prior = gaussian(EDM(sigma_max=20.0))
    given = observed(prior, operator, 0.0)
    x_1 = 20 * FastDraws(64, 4).normal("x", 0, (SIZE,))
    found, free = (operator(sampled(each, x_1, DPMSolver(), 40)) for each in (MomentMatching(prior, given), prior))
    assert float((found - given.y).std()) < 0.01 * float((free - given.y).std())


def test_a_jacobian_that_is_no_covariance_does_no_harm() -> None:
    """A network's is not quite symmetric nor positive: the result is the least-squares one, finite and of its size."""

    class Skewed(Denoiser):
        turn = torch.tensor([[1.0, 0.9, 0], [-0.9, -0.5, 0.3], [0, 0.4, 0.01]], dtype=torch.float64)

        def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:  # noqa: ARG002
            return Mean(x_t @ self.turn)

    schedule, t = SCHEDULES["linear"], torch.tensor(0.5, dtype=torch.float64)
    denoiser, x_t = Skewed(Gaussian(schedule=schedule)), FastDraws(8, 1).normal("x", 0, (3,))
    given = Observation(operator=lambda x: x, y=FastDraws(1, 2).normal("y", 0, (3,)), noise=0.5)
    spread = schedule.sigma(t) ** 2 / schedule.alpha(t) * Skewed.turn
    system = 0.25 * torch.eye(3, dtype=torch.float64) + spread
    residual = given.y - x_t @ Skewed.turn
    expected = x_t @ Skewed.turn + residual @ torch.linalg.inv(system).T @ spread.T
    torch.testing.assert_close(MomentMatching(denoiser, given, iterations=3)(x_t, t).mean, expected)


def test_guidance_around_it_asks_for_several_conditions_in_one_batch() -> None:
    """Classifier-free guidance doubles the batch, and each half is held to the same rows of y."""
    prior = gaussian(EDM(sigma_max=20.0))
    given = Observation(operator=line, y=line(prior.draw(FastDraws(4, 7))), noise=NOISE)
    x_t, t = prior.draw(FastDraws(4, 1), 0.5), torch.tensor(0.5, dtype=torch.float64)
    inner = MomentMatching(prior, given)
    cond = {"label": torch.zeros(4, dtype=torch.int64)}
    torch.testing.assert_close(ClassifierFree(inner, 3.0)(x_t, t, cond).mean, inner(x_t, t).mean)
    alone = MomentMatching(prior, given.rows(1, 1))(x_t[1:2], t).mean
    torch.testing.assert_close(alone, inner(x_t, t).mean[1:2])


def test_what_it_refuses() -> None:
    """Noise that is not Gaussian, no iterations, a negative noise, blocks of nothing."""
    prior, given = gaussian(EDM()), Observation(operator=line, y=torch.zeros(1, 3))
    prior.process = AdditiveChain.example()
    with pytest.raises(UnsupportedError, match="Gaussian noise only"):
        MomentMatching(prior, given)
    with pytest.raises(ConfigError, match="iterations = 0"):
        MomentMatching(gaussian(EDM()), given, iterations=0)
    with pytest.raises(ConfigError, match="noise = -1"):
        Observation(operator=line, y=torch.zeros(1, 3), noise=-1)
    with pytest.raises(ConfigError, match="factor = 0"):
        Pooling(factor=0)


def test_pooling_is_the_mean_over_blocks() -> None:
    """Along every axis of space; what does not fill a block is left out."""
    x = torch.arange(2 * 3 * 5 * 7, dtype=torch.float64).reshape(2, 3, 5, 7)
    found = Pooling(factor=2)(x)
    assert found.shape == (2, 3, 2, 3)
    assert float(found[1, 2, 1, 2]) == float(x[1, 2, 2:4, 4:6].mean())
