"""Consistency: a network that goes to the end in one call, as its loss makes it and as a run leaves it."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import pellucid
from draws import FastDraws
from exact import mixture
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.regression import Regression
from pellucid.losses.consistency import ROUND, ConsistencyLoss, follow, move
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.judged_consistency import JudgedConsistencyLoss
from pellucid.losses.weighting import Plain
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.networks.mlp import MLP
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.consistency import Consistency as Sampler
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
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
        draws = FastDraws(batch, 2 * step)
        t = draws.uniform("t", 0, ())
        optimiser.zero_grad()
        loss(data(batch, 2 * step + 1), t, draws.normal("eps", 0, SHAPE).float()).weighted.mean().backward()
        optimiser.step()


def spread(x: Tensor) -> Tensor:
    return x.squeeze(1).double().T.cov()


@pytest.mark.parametrize("segments", [1, 2])
def test_few_calls_draw_normal_data_where_a_regression_gives_its_mean(segments: int) -> None:
    """From noise alone E[x0 | x_1] is one point; the end of the flow's path has the data's covariance."""
    x_1, one = FastDraws(4000, 1).normal("prior", 0, SHAPE).float(), torch.ones((), dtype=torch.float64)
    regression, consistency = make(Regression), make(Consistency)
    train(DenoisingLoss(denoiser=regression, weighting=Plain()), 300)
    consistency.load_state_dict(regression.state_dict())
    consistency.segments = segments
    train(ConsistencyLoss(denoiser=consistency, teacher=regression, strides=2), 150)
    with torch.no_grad():
        assert float(spread(regression(x_1, one).mean).abs().max()) < 0.1
        grid = torch.linspace(1, 0, segments + 1, dtype=torch.float64)
        found = spread(Sampler(fresh=segments == 1).sample(consistency, x_1, grid, draws=FastDraws(4000, 2)))
        assert float((found - COVARIANCE).abs().max()) < 0.35, found


def test_the_critic_pulls_as_hard_as_its_weight_says() -> None:
    """On f(x_t, t): the gradient is that of consistency, and the critic's at `weight` times the same norm."""
    loss = JudgedConsistencyLoss(
        denoiser=make(Consistency), teacher=make(Regression), shape=SHAPE, weight=0.5, gamma=0.0, widths=(16, 32)
    ).double()
    initialise(loss.critic, Key(1, "init"))
    x0, eps, t = data(8, 0).double(), data(8, 1).double(), torch.linspace(0.1, 1, 8, dtype=torch.float64)
    seen: list[Tensor] = []
    here, consistent = loss.consistent(*loss.start(x0, t, eps)[:2], None)
    loss.consistent = lambda *_: (seen.append(here) or here, consistent)  # type: ignore[method-assign, func-returns-value]
    weighted = loss(x0, t, eps).weighted
    (whole,) = torch.autograd.grad(weighted.sum(), here, retain_graph=True)
    (alone,) = torch.autograd.grad(consistent.sum(), here, retain_graph=True)
    assert seen
    torch.testing.assert_close((whole - alone).norm(), 0.5 * alone.norm(), rtol=1e-3, atol=0)
    critic = list(loss.critic.parameters())
    assert all(gradient is not None for gradient in torch.autograd.grad(weighted.sum(), critic, allow_unused=True))


@pytest.mark.parametrize(("intervals", "strides"), [(3, 1), (3, 2), (1, 3)])
def test_the_loss_is_what_it_says(intervals: int, strides: int) -> None:
    """Two segments: t is rounded up to an interval's end, the teacher goes through it, and f from there to 1/2 or 0."""
    f, teacher = make(Consistency), make(Regression)
    f.segments, whole = 2, 2 * intervals
    loss = ConsistencyLoss(denoiser=f, teacher=teacher, intervals=intervals, strides=strides)
    x0, eps, t = data(4, 0), data(4, 1), torch.tensor([0.01, 1 / 3, 0.6, 1.0], dtype=torch.float64)
    place = (t * whole).ceil()
    rounded, r = place / whole, (place - 1) / whole
    s = ((place - 1) / intervals).floor() / 2
    x_t = f.process.corrupt(x0, rounded, eps)
    x_r = x_t
    for stride in range(strides):
        here, there = (rounded - (stride + step) / strides / whole for step in (0, 1))
        x_r = follow(teacher, x_r, here, there)
    end = move(f.process, x_r, f.clean(x_r, r), r, s)
    here = f.clean(x_t, rounded)
    wanted = (move(f.process, x_t, here, rounded, s) - end.detach()).squeeze(1)  # as far apart, but for the slope of y
    slope = (1 - s - s / rounded * (1 - rounded)).float()
    huber = ((wanted / slope[:, None]).square().mean(1) + ROUND**2).sqrt() - ROUND
    found, times = loss(x0, t, eps).weighted, (place - s * whole).float()
    torch.testing.assert_close(found, huber * times, rtol=1e-4, atol=1e-5)
    parts = list(f.parameters())
    for mine, theirs in zip(torch.autograd.grad(found.sum(), parts, allow_unused=True),
                            torch.autograd.grad((huber * times).sum(), parts, allow_unused=True), strict=True):  # fmt: skip
        if theirs is not None:
            torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in loss.teacher.parameters())


@pytest.mark.parametrize("schedule", [Rectified(), Cosine(), EDM()])
def test_the_teacher_is_followed_to_second_order(schedule: Any) -> None:
    """Through a mixture's exact flow: halving the intervals brings the end four times as near or nearer, from t = 1 on."""
    teacher = mixture(schedule)
    x_1 = torch.randn(6, *teacher.means.shape[1:], dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    x_1 = x_1 * float(torch.hypot(schedule.alpha(torch.ones(())), schedule.sigma(torch.ones(()))))
    ends = {}
    for count in (16, 32, 64, 300):
        x, times = x_1, torch.linspace(1, 0.05, count + 1, dtype=torch.float64)
        for t, r in pairwise(times):
            x = follow(teacher, x, t.expand(6), r.expand(6))
        ends[count] = x
    errors = [float((ends[count] - ends[300]).abs().max()) for count in (16, 32, 64)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < 0.3 * errors[1]


def test_moves_meet_at_the_ends() -> None:
    """Straight from t to t is nowhere; to 0 it is x0; two moves with one x0 are one."""
    process, x, x0 = Gaussian(schedule=Rectified()), data(3, 0), data(3, 1)
    one, half, none = (torch.full((3,), value, dtype=torch.float64) for value in (1.0, 0.5, 0.0))
    torch.testing.assert_close(move(process, x, x0, half, half), x)
    torch.testing.assert_close(move(process, x, x0, one, none), x0)
    torch.testing.assert_close(move(process, move(process, x, x0, one, half), x0, half, none), x0)
    torch.testing.assert_close(move(process, x, x0, none, none), x)


def test_at_no_noise_it_changes_nothing() -> None:
    x = data(4, 0)
    torch.testing.assert_close(make(Consistency).clean(x, torch.zeros(4, dtype=torch.float64)), x)


def test_a_prediction_that_may_change_clean_data_is_refused() -> None:
    network = MLP(in_channels=1, out_channels=1, space=(2,), width=8, depth=1, token_width=0)
    with pytest.raises(ConfigError, match=r"lets f\(x, 0\) be anything"):
        ConsistencyLoss(denoiser=Consistency(process=Gaussian(schedule=Rectified()), network=network, prediction="x0"),
                        teacher=make(Regression))


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
