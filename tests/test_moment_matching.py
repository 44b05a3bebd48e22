"""Posterior guidance against posteriors that are known in closed form: of Gaussians exactly, of mixtures nearly."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from draws import FastDraws
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.denoisers.denoiser import Denoiser
from pellucid.denoisers.mixture import Mixture
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.guidance.mask import Mask
from pellucid.guidance.moment_matching import FARTHEST, MomentMatching
from pellucid.guidance.observation import Observation
from pellucid.guidance.pooling import Pooling
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolver
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


def posterior(prior: Mixture, operator: Callable[[Tensor], Tensor], y: Tensor, noise: float) -> Mixture:
    """p(x0 | y) by Bayes' rule, with A as a matrix: the conditioned components, weighted by how well they explain y."""
    a = operator(torch.eye(prior.means.shape[1], dtype=torch.float64)).T
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


def sampled(denoiser: Denoiser, n: int, sampler: Sampler, steps: int) -> Tensor:
    """From the exact prior state at t = 1, which is the same with or without y where nothing is left of the data."""
    schedule, draws = denoiser.process.schedule, FastDraws(n, 5)
    times = schedule.time_at_ratio(torch.logspace(2.3, -2.3, steps, dtype=torch.float64))
    grid = torch.cat([torch.ones(1), times[1:], torch.zeros(1)]).double()
    x = denoiser.process.prior(draws.normal("prior", 0, (SIZE,)))
    return sampler.sample(denoiser, x, grid, draws=draws)


@every_schedule
@every_operator
@pytest.mark.parametrize("noise", [0.0, NOISE, 3.0])
def test_the_posterior_mean_of_a_gaussian_is_exact(
    schedule: Schedule, operator: Callable[[Tensor], Tensor], noise: float
) -> None:
    """E[x0 | x_t, y] is that of the exact denoiser of p(x0 | y), at every noise level where x_t tells of the data."""
    prior = gaussian(schedule)
    given = observed(prior, operator, noise)
    free = Mask if operator is OPERATORS["mask"] else None
    truth = posterior(prior, operator, given.y[0], max(noise, 1e-5 if free else 0.0))
    t = torch.tensor([0.003, 0.02, 0.1, 0.4, 0.7, 0.9, 0.99], dtype=torch.float64)
    t = t[schedule.sigma(t) / schedule.alpha(t) < FARTHEST]
    x_t = truth.process.corrupt(truth.draw(FastDraws(len(t), 1)), t, FastDraws(len(t), 2).normal("eps", 0, (SIZE,)))
    with torch.no_grad():  # as samplers call it
        found = MomentMatching(prior, given, iterations=SIZE)(x_t, t).mean
    torch.testing.assert_close(found, truth(x_t, t).mean, rtol=1e-4, atol=1e-4 if noise == 0 else 1e-8)
    assert float((found - prior(x_t, t).mean).abs().amax(1).min()) > 1e-4
