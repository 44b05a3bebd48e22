"""Consistency: a network that goes to the end in one call, as its loss makes it and as a run leaves it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pellucid
from draws import FastDraws
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.regression import Regression
from pellucid.losses.consistency import NEAREST, ROUND, ConsistencyLoss
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.judged_consistency import JudgedConsistencyLoss
from pellucid.losses.weighting import Plain
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.networks.mlp import MLP
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.consistency import Consistency as Sampler
from pellucid.schedules.rectified import Rectified
from pellucid.training.shorten import tune_to_consistency

SHAPE = (1, 2)
COVARIANCE = torch.tensor([[1.0, 0.8], [0.8, 1.0]], dtype=torch.float64)


def make(kind: Any) -> Any:
    network = MLP(in_channels=1, out_channels=1, space=(2,), width=32, depth=2, token_width=0)
    made = kind(process=Gaussian(schedule=Rectified()), network=network, prediction="velocity", sigma_data=1.0)
    initialise(made, Key(0, "init"))
    return made


def data(n: int, seed: int) -> Tensor:
    """Correlated normal pairs, (n, 1, 2)."""
    pairs: Tensor = FastDraws(n, seed).normal("data", 0, (2,)) @ torch.linalg.cholesky(COVARIANCE).T
    return pairs.unsqueeze(1).float()


def train(loss: Any, steps: int, batch: int = 128) -> None:
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.003)
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = 0.003 * (1 - step / steps)
        loss.progress = step / steps
        draws = FastDraws(batch, 2 * step)
        t = draws.uniform("t", 0, ())
        optimiser.zero_grad()
        loss(data(batch, 2 * step + 1), t, draws.normal("eps", 0, SHAPE).float()).weighted.mean().backward()
        optimiser.step()


def spread(x: Tensor) -> Tensor:
    return x.squeeze(1).double().T.cov()


def test_one_call_draws_normal_data_where_a_regression_gives_its_mean() -> None:
    """From noise alone E[x0 | x_1] is one point; the end of the flow's path has the data's covariance."""
    x_1, one = FastDraws(4000, 1).normal("prior", 0, SHAPE).float(), torch.ones((), dtype=torch.float64)
    regression, consistency = make(Regression), make(Consistency)
    train(DenoisingLoss(denoiser=regression, weighting=Plain()), 300)
    consistency.load_state_dict(regression.state_dict())
    train(ConsistencyLoss(denoiser=consistency), 500)
    with torch.no_grad():
        assert float(spread(regression(x_1, one).mean).abs().max()) < 0.1
        for steps in (1, 2):
            grid = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
            found = spread(Sampler().sample(consistency, x_1, grid, draws=FastDraws(4000, 2)))
            assert float((found - COVARIANCE).abs().max()) < 0.35, found


def test_the_critic_pulls_as_hard_as_its_weight_says() -> None:
    """On f(x_t, t): the gradient is that of consistency, and the critic's at `weight` times the same norm."""
    loss = JudgedConsistencyLoss(denoiser=make(Consistency), shape=SHAPE, weight=0.5, gamma=0.0, widths=(16, 32)).double()
    initialise(loss.critic, Key(1, "init"))
    loss.progress = 0.5
    x0, eps, t = data(8, 0).double(), data(8, 1).double(), torch.linspace(0.1, 1, 8, dtype=torch.float64)
    seen: list[Tensor] = []
    plain = loss.consistent
    here, consistent = plain(x0, t, eps, None)
    loss.consistent = lambda *_: (seen.append(here) or here, consistent)  # type: ignore[method-assign, func-returns-value]
    weighted = loss(x0, t, eps).weighted
    (whole,) = torch.autograd.grad(weighted.sum(), here, retain_graph=True)
    (alone,) = torch.autograd.grad(consistent.sum(), here, retain_graph=True)
    assert seen
    torch.testing.assert_close((whole - alone).norm(), 0.5 * alone.norm(), rtol=1e-3, atol=0)
    critic = list(loss.critic.parameters())
    assert all(gradient is not None for gradient in torch.autograd.grad(weighted.sum(), critic, allow_unused=True))


def test_the_loss_is_what_it_says() -> None:
    """huber(f(x_t) - f(x_r)) / (t - r) with r = t (1 - 2^-a), and no gradient through f(x_r, r)."""
    loss = ConsistencyLoss(denoiser=make(Consistency))
    loss.progress = 0.5
    x0, eps, t = data(8, 0), data(8, 1), torch.linspace(0.1, 1, 8, dtype=torch.float64)
    r = t * (1 - 2 ** -(1 + (NEAREST - 1) / 2))
    f, process = loss.denoiser, loss.denoiser.process
    near, here = (f.clean(process.corrupt(x0, at, eps), at) for at in (r, t))
    huber = (((here - near.detach()) ** 2).mean((1, 2)) + ROUND**2).sqrt() - ROUND
    found = loss(x0, t, eps).weighted
    torch.testing.assert_close(found, huber / (t - r).float())
    wanted = torch.autograd.grad((huber / (t - r).float()).sum(), list(f.parameters()), allow_unused=True)
    found.sum().backward()
    for parameter, gradient in zip(f.parameters(), wanted, strict=True):
        if gradient is not None:
            torch.testing.assert_close(parameter.grad, gradient)


def test_at_no_noise_it_changes_nothing() -> None:
    x = data(4, 0)
    torch.testing.assert_close(make(Consistency).clean(x, torch.zeros(4, dtype=torch.float64)), x)


def test_a_prediction_that_may_change_clean_data_is_refused() -> None:
    network = MLP(in_channels=1, out_channels=1, space=(2,), width=8, depth=1, token_width=0)
    with pytest.raises(ConfigError, match=r"lets f\(x, 0\) be anything"):
        ConsistencyLoss(denoiser=Consistency(process=Gaussian(schedule=Rectified()), network=network, prediction="x0"))


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures of two labels, and without them."""
    home = tmp_path_factory.mktemp("consistency")
    pictures = Keyed(0, range(8)).uniform("pictures", 0, (8, 8)).numpy().astype(np.float32)
    for label in ("a", "b"):
        (home / "data" / label).mkdir(parents=True)
        for number in range(4):
            np.save(home / "data" / label / f"{number}.npy", pictures[number + 4 * (label == "b")])
    small = ["network.name=mlp", "network.width=16", "network.depth=1", "training.batch=4", "training.evaluate=false",
             "sampling.guidance=2.0", "sampling.sampler=heun"]  # fmt: skip
    for name, condition in (("labelled", "auto"), ("plain", "none")):
        pellucid.train(home / "data", home / name, samples=8, condition=condition, settings=small)  # type: ignore[arg-type]
    return home


@pytest.mark.parametrize("critic", [0.0, 0.5])
@pytest.mark.parametrize("name", ["labelled", "plain"])
def test_a_run_is_tuned_on_its_own_data(base: Path, name: str, critic: float, tmp_path: Path) -> None:
    """From its weights, with its condition, and it is sampled in as many calls as were asked for."""
    tuned = tune_to_consistency(base / name, tmp_path / "tuned", steps=3, critic=critic, samples=8)
    assert isinstance(tuned.denoiser, Consistency)
    assert tuned.facts.labels == Model.load(base / name).facts.labels
    loaded = Model.load(tmp_path / "tuned")
    assert loaded.sample(2).nfe == 3
    assert loaded.sample(2, steps=1).data.isfinite().all()
    with pytest.raises(UnsupportedError, match=r"needs a mean .* Consistency offers only: sample"):
        loaded.sample(1, sampler="heun")
    with pytest.raises(ConfigError, match="starts from one that regresses"):
        tune_to_consistency(tmp_path / "tuned", tmp_path / "again", samples=8)


def test_a_model_file_needs_data(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run that knows its data: give --data"):
        tune_to_consistency(base / "plain" / "model.safetensors", tmp_path / "tuned", samples=8)
