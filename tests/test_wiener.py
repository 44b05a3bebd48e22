"""The Wiener denoiser against the normal distribution in closed form, and what trains it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.conditioners.given import Given
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers.wiener import Wiener
from pellucid.evaluation.likelihood import ode_log_likelihood
from pellucid.losses.filtering import FilteringLoss
from pellucid.networks.initialise import initialise
from pellucid.networks.mlp import MLP
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers import grids, samplers
from pellucid.schedules.edm import EDM
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.training.revealing import Revealing

C, L, D = 2, 5, 10


def normal(*shape: int, purpose: str = "x") -> Tensor:
    return Key(0, purpose).normal([0], shape)[0]


MIX = normal(D, 6, purpose="mix")  # rank 6 of 10: four directions are constant
CENTRE = normal(D, purpose="centre")
DATA = (normal(3000, 6) @ MIX.T + CENTRE).reshape(-1, C, L)
FLAT = DATA.flatten(1)
MEAN, COVARIANCE = FLAT.mean(0), torch.cov(FLAT.T, correction=0)


def denoiser(schedule: Schedule | None = None, *, trained: bool = False, given: bool = True) -> Wiener:
    channels = 3 * C if given else C
    network = MLP(in_channels=channels, out_channels=C, space=(L,), width=16, depth=1)
    conditioners = {"given": Given(shape=(C, L))} if given else {}
    process = Gaussian(schedule=schedule or Rectified())
    made = Wiener(shape=(C, L), process=process, network=network, conditioners=conditioners)
    made.fit(DATA)
    if trained:
        with torch.no_grad():
            for parameter in made.network.parameters():
                parameter.add_(0.1)
        initialise(made.network, Key(0, "init"))
    return made.double()


@pytest.mark.parametrize("schedule", [Rectified(), EDM()])
@pytest.mark.parametrize("t", [0.003, 0.2, 0.9, 1.0])
def test_untrained_it_is_the_mean_of_the_normal_distribution(schedule: Schedule, t: float) -> None:
    """E[x0 | x_t] by inversion of the joint covariance, at every noise level, by either way of computing it."""
    model, time = denoiser(schedule), torch.tensor(t, dtype=torch.float64)
    alpha, sigma = float(schedule.alpha(time)), float(schedule.sigma(time))
    x_t = alpha * DATA[:50] + sigma * normal(50, C, L, purpose="eps")
    gain = alpha * COVARIANCE @ torch.linalg.inv(alpha**2 * COVARIANCE + sigma**2 * torch.eye(D))
    expected = MEAN + (x_t.flatten(1) - alpha * MEAN) @ gain.T
    tolerance = 1e-6 * float(COVARIANCE.diagonal().max().sqrt())
    torch.testing.assert_close(model(x_t, time).mean.flatten(1), expected, atol=tolerance, rtol=1e-5)
    nearly = torch.full((50, C, L), torch.nan)
    nearly[0, 0, 0] = DATA[0, 0, 0]  # one value of one sample is given: the others go the long way round
    found = model(x_t, time, {"given": nearly}).mean.flatten(1)
    torch.testing.assert_close(found[1:], expected[1:], atol=100 * tolerance, rtol=1e-4)


def test_what_is_given_is_kriged() -> None:
    """At t = 1 nothing but what is given is known: the conditional mean, and the given values themselves."""
    model, known = denoiser(), torch.arange(D) % 3 == 0
    given = torch.where(known, FLAT[:20], torch.nan).reshape(20, C, L)
    one = torch.ones((), dtype=torch.float64)
    found = model(normal(20, C, L, purpose="noise"), one, {"given": given}).mean.flatten(1)
    gain = COVARIANCE[~known][:, known] @ torch.linalg.pinv(COVARIANCE[known][:, known])
    expected = MEAN[~known] + (FLAT[:20, known] - MEAN[known]) @ gain.T
    torch.testing.assert_close(found[:, ~known], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found[:, known], FLAT[:20, known], atol=1e-4, rtol=1e-4)


def test_untrained_it_samples_the_gaussian_process() -> None:
    """Mean and covariance of 2,000 samples, within 5 standard errors; directions without variance stay without."""
    model = denoiser()
    grid = grids["log_snr"](sigma_min=0.01)(model.process.schedule, 60)
    x = model.process.noise(Keyed(0, range(2000)), "prior", 0, (C, L), torch.ones(()))
    made = samplers["dpmpp"]().sample(model, x, grid).flatten(1)
    deviation = COVARIANCE.diagonal().sqrt()
    assert ((made.mean(0) - MEAN).abs() < 5 * deviation / math.sqrt(2000)).all()
    error = (torch.cov(made.T) - COVARIANCE) / torch.outer(deviation, deviation)
    assert error.abs().max() < 5 * math.sqrt(2 / 2000)
    still = model.basis[:, model.variances == 0]
    assert still.shape[1] == 4
    assert ((made - MEAN) @ still).abs().max() < 1e-6


def test_untrained_its_likelihood_is_the_normal_density() -> None:
    """By the ODE, on data all of whose directions vary."""
    data = normal(2000, D, purpose="full") @ normal(D, D, purpose="turn") / 3 + CENTRE
    model = denoiser(given=False)
    model.fit(data.reshape(-1, C, L))
    found = ode_log_likelihood(model, data[:6].reshape(-1, C, L), steps=200, draws=Keyed(0, range(6)))
    exact = torch.distributions.MultivariateNormal(data.mean(0), torch.cov(data.T, correction=0)).log_prob(data[:6])
    torch.testing.assert_close(found.double(), exact, atol=0.02 * D, rtol=0)


@pytest.mark.parametrize("given", [False, True])
def test_target_and_answer_fit(given: bool) -> None:
    """P^(1/2) undoes the target: a network that answers it makes the denoiser exact, in every direction that varies."""
    model, t = denoiser(given=given), torch.tensor([0.05, 0.5, 0.99], dtype=torch.float64)
    x0 = DATA[:3]
    x_t = model.process.corrupt(x0, t, normal(3, C, L, purpose="eps"))
    mean, _, roots = model.linear(x_t, t)
    torch.testing.assert_close(mean + model.turned(model.target(x0, mean, roots), roots), x0, atol=1e-5, rtol=1e-5)


def test_targets_have_unit_variance() -> None:
    """Of data that is normal, at every noise level, in each direction that varies: half of nothing is known beforehand."""
    model = denoiser(given=False)
    t = torch.linspace(0.01, 1, len(DATA), dtype=torch.float64)
    x_t = model.process.corrupt(DATA, t, normal(len(DATA), C, L, purpose="eps"))
    mean, seen, roots = model.linear(x_t, t)
    varies = model.variances > 0
    for inner in (model.target(DATA, mean, roots), seen):
        spread = (inner.flatten(1) @ model.basis)[:, varies].std(0)
        torch.testing.assert_close(spread, torch.ones_like(spread), atol=0.1, rtol=0)


def test_what_is_missing_is_drawn_given_the_rest() -> None:
    """Completed samples have the covariance of whole ones, and what was there is as it was."""
    model = denoiser()
    holes = torch.where(Key(1, "holes").uniform([0], DATA.shape)[0] < 0.4, torch.nan, DATA)
    whole = model.completed(holes, normal(*DATA.shape, purpose="fill"))
    there = ~holes.isnan()
    assert torch.equal(whole[there], DATA[there])
    deviation = COVARIANCE.diagonal().sqrt()
    error = (torch.cov(whole.flatten(1).T) - COVARIANCE) / torch.outer(deviation, deviation)
    assert error.abs().max() < 0.15
    other = Wiener(shape=(C, L), process=model.process, network=model.network, conditioners={})
    other.fit(holes)
    fitted = (other.basis * other.variances) @ other.basis.T
    assert ((fitted - COVARIANCE) / torch.outer(deviation, deviation)).abs().max() < 0.2


def test_training_lowers_the_loss_and_reaches_every_weight() -> None:
    """On data that is not normal: a square wave of random phase, beside 1, what the best linear denoiser leaves."""
    place = torch.arange(8, dtype=torch.float64)
    phase = Key(0, "phase").uniform([0], (512, 1))[0] * 8
    x0 = torch.sign(torch.sin((place + phase) * math.pi / 4))[:, None]
    network = MLP(in_channels=1, out_channels=1, space=(8,), width=32, depth=2)
    model = Wiener(shape=(1, 8), process=Gaussian(schedule=Rectified()), network=network, conditioners={}).double()
    model.fit(x0)
    loss = FilteringLoss(denoiser=model)
    initialise(loss, Key(0, "init"))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.003)
    t, eps = Key(0, "t").uniform([0], (512,))[0], normal(512, 1, 8, purpose="eps")
    start = float(loss(x0, t, eps).weighted.mean().detach())
    for _ in range(150):
        optimiser.zero_grad()
        value = loss(x0, t, eps).weighted.mean()
        value.backward()
        optimiser.step()
    assert 0.4 < start < 0.6  # half of the directions do not vary
    assert float(value.detach()) < 0.6 * start
    assert all(parameter.grad is not None for parameter in model.parameters())


def led(x0: Tensor, leading: int, *, given: bool = False) -> Wiener:
    """A denoiser with a second network, whose first one says nothing."""
    shape = tuple(x0.shape[1:])
    network = MLP(in_channels=(3 if given else 1) * shape[0], out_channels=shape[0], space=shape[1:], width=8, depth=1)
    conditioners = {"given": Given(shape=shape)} if given else {}
    process = Gaussian(schedule=Rectified())
    made = Wiener(shape=shape, process=process, network=network, conditioners=conditioners, leading=leading).double()
    made.fit(x0)
    initialise(made, Key(0, "init"))
    return made


@pytest.mark.parametrize("given", [False, True])
def test_a_second_network_knows_the_leading_directions(given: bool) -> None:
    """What it is shown and asked for alone is what it is shown and adds within the whole, in these directions only."""
    model, ratio = led(DATA, 3, given=given), torch.tensor(0.7, dtype=torch.float64)
    with torch.no_grad():
        assert model.main is not None
        for parameter in model.main.head.parameters():
            parameter.add_(0.3)
    t = model.process.schedule.time_at_ratio(ratio[None]).expand(20)
    alpha, eps = float(model.process.schedule.alpha(t[0])), normal(20, C, L, purpose="eps")
    x_t = alpha * (DATA[:20] + ratio * eps)
    mean, seen, roots = model.linear(x_t, t)
    found = model.answer(x_t, t, None, seen), model.target(DATA[:20], mean, roots)
    whole = [some.flatten(1) @ model.basis for some in found]
    alone = model.led(DATA[:20], ratio.expand(20, 1), (eps.flatten(1) @ model.basis)[:, None, -3:])
    for within, by_itself in zip(whole, alone, strict=True):
        torch.testing.assert_close(within[:, -3:], by_itself[:, 0], atol=1e-5, rtol=1e-4)
    assert whole[0][:, :-3].abs().max() < 1e-5


def test_a_shape_of_the_whole_is_learned() -> None:
    """A circle in the plane of the two leading directions of twelve; a normal distribution has its middle full."""
    torch.set_num_threads(1)  # such small numbers lose more to waiting threads than they gain
    angle = 2 * math.pi * Key(0, "angle").uniform([0], (2000, 1))[0]
    plane = torch.linalg.qr(normal(12, 12, purpose="plane"))[0]
    x0 = (torch.cat([4 * angle.cos(), 4 * angle.sin(), 0.1 * normal(2000, 10, purpose="rest")], 1) @ plane.T)[:, None]
    model = led(x0, 2)
    loss, optimiser = FilteringLoss(denoiser=model), torch.optim.Adam(model.parameters(), lr=0.003)
    assert loss.noises == {"leading": (8, 3)}
    for step in range(120):
        rows = Key(step, "rows").uniform([0], (64,))[0].mul(2000).long()
        noises = {"leading": normal(64, 8, 3, purpose=f"leading {step}")}
        t, eps = Key(step, "t").uniform([0], (64,))[0], normal(64, 1, 12, purpose=f"eps {step}")
        optimiser.zero_grad()
        loss(x0[rows], t, eps, None, noises).weighted.mean().backward()
        optimiser.step()
    draws = Keyed(0, range(300))
    times = grids["log_snr"](sigma_min=0.02)(model.process.schedule, 20)
    with torch.no_grad():
        made = samplers["dpmpp"]().sample(model, draws.normal("prior", 0, (1, 12)).double(), times, draws=draws)
    radius = (made[:, 0] @ plane[:, :2]).norm(dim=1)
    assert float((radius < 2.5).double().mean()) < 0.1  # of a normal distribution a third


def test_what_cannot_be_is_refused() -> None:
    process, network = Gaussian(schedule=Rectified()), MLP(in_channels=1, out_channels=1, space=(4,), width=8, depth=1)
    with pytest.raises(UnsupportedError, match=r"at most 1,024 values, and these have 2,048: set denoiser\.name to"):
        Wiener(shape=(2, 1024), process=process, network=network)
    with pytest.raises(UnsupportedError, match="one time for each sample"):
        Wiener(shape=(1, 4), process=process, network=network)(torch.zeros(2, 1, 4), torch.ones(2, 1, 4))
    with pytest.raises(ConfigError, match=r"denoiser\.leading = -1: expected 0 or more directions"):
        Wiener(shape=(1, 4), process=process, network=network, leading=-1)
    with pytest.raises(DataError, match="All samples are the same"):
        Wiener(shape=(1, 4), process=process, network=network).fit(torch.ones(5, 1, 4))
    with pytest.raises(ConfigError, match=r"has the shape \(1, 1, 3\), expected \(n, 1, 4\)"):
        Given(shape=(1, 4)).parse(torch.zeros(1, 3), 2)


# ------------------------------------------------------------------------------------------------ what is revealed


def test_shares_of_what_is_known() -> None:
    """Nothing of a share of the samples; of the others beginnings, surroundings and scattered values, equally often."""
    masks = Revealing(0.6)(Keyed(0, range(4000)), 0, (1, 32))[:, 0]
    none = ~masks.any(1)
    assert abs(float(none.double().mean()) - 0.4) < 0.05  # a few of the others have too short a beginning
    jumps = (masks[:, 1:] != masks[:, :-1]).sum(1)
    beginning = masks[:, 0] & (jumps == 1) & ~masks[:, -1]
    around = masks[:, 0] & masks[:, -1] & (jumps == 2)
    assert abs(float(beginning.double().mean()) - 0.2) < 0.05
    assert abs(float(around.double().mean()) - 0.2) < 0.06
    assert not Revealing(0.0)(Keyed(0, range(64)), 0, (3, 8)).any()
    frames = Revealing(1.0)(Keyed(0, range(64)), 0, (1, 8, 4, 4))
    assert torch.equal(frames, frames[..., :1, :1].expand_as(frames))
    assert not np.array_equal(*(Revealing(1.0)(Keyed(0, range(8)), epoch, (2, 8)).numpy() for epoch in (0, 1)))
