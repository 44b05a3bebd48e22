"""Likelihoods against the exact ones of Gaussian mixtures, in bits per dimension."""

import pytest
import torch
from torch import Tensor

from draws import FastDraws
from pellucid.core.errors import UnsupportedError
from pellucid.denoisers.mixture import Mixture
from pellucid.evaluation.likelihood import Prior, bits_per_dim, elbo, ode_log_likelihood
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.edm import EDM
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule


def mixture(dim: int, schedule: Schedule) -> Mixture:
    """Three components with correlated coordinates of standard deviations 0.2 to 0.6."""
    generator = torch.Generator().manual_seed(dim)
    root = torch.randn(3, dim, dim, generator=generator, dtype=torch.float64) * 0.4 / dim**0.5
    return Mixture(
        Gaussian(schedule=schedule),
        weights=torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64),
        means=torch.randn(3, dim, generator=generator, dtype=torch.float64),
        covariances=root @ root.mT + 0.04 * torch.eye(dim, dtype=torch.float64),
    )


def points(model: Mixture, n: int) -> tuple[FastDraws, Tensor]:
    draws = FastDraws(n)
    return draws, model.draw(draws)


@pytest.mark.parametrize("schedule", [EDM(sigma_max=5000), Rectified()], ids=["edm", "rectified"])
@pytest.mark.parametrize(("dim", "n", "steps"), [(2, 256, 96), (64, 8, 48)])
def test_ode_equals_the_exact_likelihood_of_every_point(dim: int, n: int, steps: int, schedule: Schedule) -> None:
    model = mixture(dim, schedule)
    _, x = points(model, n)
    found = ode_log_likelihood(model, x, steps=steps, u_min=1e-3, u_max=5000, prior=Prior(std=1.0))
    gap = bits_per_dim(found, dim) - bits_per_dim(model.log_prob(x), dim)
    assert float(gap.abs().max()) < 0.01


@pytest.mark.parametrize(("dim", "n", "levels"), [(2, 4096, 128), (64, 256, 128)])
def test_elbo_is_tight_for_the_exact_denoiser(dim: int, n: int, levels: int) -> None:
    model = mixture(dim, EDM(sigma_max=5000))
    draws, x = points(model, n)
    found = elbo(model, x, draws, levels=levels, u_min=1e-3, u_max=5000, prior=Prior(std=1.0))
    gap = (bits_per_dim(found, dim) - bits_per_dim(model.log_prob(x), dim)).mean()
    assert float(gap.abs()) < 0.01


def test_estimated_divergence_is_unbiased() -> None:
    model = mixture(160, EDM())
    draws, x = points(model, 24)
    found = ode_log_likelihood(model, x, steps=32, u_min=1e-3, prior=Prior(std=1.0), draws=draws)
    gap = bits_per_dim(found, 160) - bits_per_dim(model.log_prob(x), 160)
    assert float(gap.mean().abs()) < 3 * float(gap.std()) / 24**0.5 + 0.002
    with pytest.raises(UnsupportedError, match="pass draws"):
        ode_log_likelihood(model, x, steps=1)


def test_bits_per_dim_of_uniform_bytes_is_eight() -> None:
    density = torch.full((1,), 10 * float(torch.log(torch.tensor(0.5))))  # uniform on [-1, 1] in 10 dimensions
    assert float(bits_per_dim(density, 10, step=2 / 256)[0]) == pytest.approx(8, abs=1e-6)


def test_other_noise_is_refused() -> None:
    model = mixture(2, EDM())
    model.process = AdditiveChain.example()
    with pytest.raises(UnsupportedError, match="assume Gaussian"):
        elbo(model, torch.zeros(1, 2), FastDraws(1))
