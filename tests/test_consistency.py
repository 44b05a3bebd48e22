"""Consistency: a network that goes to the end in one call, as its loss makes it and as a run leaves it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import pellucid
from draws import FastDraws
from pellucid.core.errors import ConfigError, InterruptedRunError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.regression import Regression
from pellucid.losses.consistency import ROUND, ConsistencyLoss, move
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.judged_consistency import JudgedConsistencyLoss
from pellucid.losses.pairs import Pairs
from pellucid.losses.responses import responses
from pellucid.losses.weighting import Plain
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.networks.mlp import MLP
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.consistency import Consistency as Sampler
from pellucid.samplers.runge_kutta import Heun
from pellucid.schedules.rectified import Rectified
from pellucid.training import teaching
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


def pairs(teacher: Regression, n: int) -> Pairs:
    """By Heun's method in 12 steps."""
    x_1, grid = FastDraws(n, 9).normal("prior", 0, SHAPE).float(), torch.linspace(1, 0, 13, dtype=torch.float64)
    return Pairs(x_1, {}, Heun().sample(teacher, x_1, grid))


@pytest.mark.parametrize("segments", [1, 2])
def test_few_calls_draw_normal_data_where_a_regression_gives_its_mean(segments: int) -> None:
    """From noise alone E[x0 | x_1] is one point; the end of the flow's path has the data's covariance."""
    x_1, one = FastDraws(4000, 1).normal("prior", 0, SHAPE).float(), torch.ones((), dtype=torch.float64)
    regression, consistency = make(Regression), make(Consistency)
    train(DenoisingLoss(denoiser=regression, weighting=Plain()), 300)
    consistency.load_state_dict(regression.state_dict())
    consistency.segments = segments
    train(ConsistencyLoss(denoiser=consistency, teacher=regression, pairs=pairs(regression, 1024)), 100)
    with torch.no_grad():
        assert float(spread(regression(x_1, one).mean).abs().max()) < 0.1
        grid = torch.linspace(1, 0, segments + 1, dtype=torch.float64)
        found = Sampler(fresh=segments == 1).sample(consistency, x_1, grid, draws=FastDraws(4000, 2))
        wanted = Heun().sample(regression, x_1, torch.linspace(1, 0, 13, dtype=torch.float64))
        assert float((spread(found) - COVARIANCE).abs().max()) < 0.35, spread(found)
        assert float((found - wanted).square().mean().sqrt()) < 0.15


def test_the_critic_pulls_as_hard_as_its_weight_says() -> None:
    """On x_0: the gradient is that of consistency, and the critic's at `weight` times the same norm."""
    teacher = make(Regression)
    loss = JudgedConsistencyLoss(
        denoiser=make(Consistency), teacher=teacher, pairs=pairs(teacher, 8), shape=SHAPE, weight=0.5, gamma=0.0,
        widths=(16, 32),
    ).double()
    initialise(loss.critic, Key(1, "init"))
    x0, eps, t = data(8, 0).double(), data(8, 1).double(), torch.linspace(0.125, 1, 8, dtype=torch.float64)
    part, level = loss.chosen(x0, t)
    ends = loss.through(part)
    loss.through = lambda _: ends  # type: ignore[method-assign]
    weighted = loss(x0, t, eps).weighted
    (whole,) = torch.autograd.grad(weighted.sum(), ends, retain_graph=True)
    (alone,) = torch.autograd.grad(loss.compared(ends, part.made, level, eps).weighted.sum(), ends, retain_graph=True)
    torch.testing.assert_close((whole - alone).norm(), 0.5 * alone.norm(), rtol=1e-3, atol=0)
    critic = list(loss.critic.parameters())
    assert all(gradient is not None for gradient in torch.autograd.grad(weighted.sum(), critic, allow_unused=True))


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_the_loss_is_what_it_says(weight: float) -> None:
    """Two segments, from noise to 1/2 to 0; distances of values, and of what the teacher's one row of blocks makes of it."""
    f, teacher = make(Consistency).double(), make(Regression).double()
    f.segments, known = 2, pairs(teacher.float(), 4)
    known, teacher = Pairs(known.x.double(), {}, known.made.double()), teacher.double()
    loss = ConsistencyLoss(denoiser=f, teacher=teacher, pairs=known, responses=weight)
    eps, t = data(4, 1).double(), torch.tensor([1.0, 0.7, 0.45, 0.1], dtype=torch.float64)  # the pairs 0, 1, 2, 3
    one, half, none = (torch.full((4,), value, dtype=torch.float64) for value in (1.0, 0.5, 0.0))
    x = move(f.process, known.x, f.clean(known.x, one), one, half)
    ends = move(f.process, x, f.clean(x, half), half, none)
    expected = ((ends - known.made).square().mean((1, 2)) + ROUND**2).sqrt() - ROUND
    if weight:
        level = 0.02 + 0.3 * torch.tensor([0.0, 0.2, 0.2, 0.6], dtype=torch.float64)
        mine, theirs = (responses(teacher, x0, level, eps)[0] for x0 in (ends, known.made))
        apart = (mine - theirs).square().mean(1) / theirs.square().mean()
        expected = expected + weight * (apart + ROUND**2).sqrt()
    found = loss(data(4, 0).double(), t, eps)
    torch.testing.assert_close(found.weighted, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found.x0_error, (ends - known.made).square().mean((1, 2)), rtol=1e-5, atol=1e-7)
    assert not any(parameter.requires_grad for parameter in loss.teacher.parameters())


def test_times_choose_pairs_evenly() -> None:
    """Times spread over (0, 1] take each pair as often; the end t = 0 takes the last."""
    loss = ConsistencyLoss(denoiser=make(Consistency), teacher=make(Regression), pairs=pairs(make(Regression), 16))
    chosen, level = loss.chosen(torch.zeros(1), (torch.arange(64, dtype=torch.float64) + 0.5) / 64)
    assert loss.pairs is not None
    for row in loss.pairs.x:
        assert int((chosen.x == row).all(-1).all(-1).sum()) == 4
    assert float(level.min()) >= 0.02
    assert float(level.max()) <= 0.32
    assert torch.equal(loss.chosen(torch.zeros(1), torch.zeros(1))[0].x, loss.pairs.x[-1:])


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


def test_pairs_are_drawn_once(base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stopped after its first step goes on from the same pairs, without drawing them, to the same weights."""
    whole = tune_to_consistency(base / "labelled", tmp_path / "whole", steps=2, samples=16)
    assert whole.card["pairs"]["count"] == 16
    kept = load_file(tmp_path / "whole" / "pairs.safetensors")
    assert {name: len(value) for name, value in kept.items()} == {"x": 16, "made": 16, "cond.label": 16}

    class Stopped:
        tell = begin = staticmethod(lambda *_: None)

        def step(self, *_: object) -> None:
            raise KeyboardInterrupt

    with pytest.raises((KeyboardInterrupt, InterruptedRunError)):
        tune_to_consistency(base / "labelled", tmp_path / "parts", steps=2, samples=16, observer=Stopped())  # type: ignore[arg-type]
    monkeypatch.setattr(teaching, "_drawn", None)
    parts = pellucid.train(out=tmp_path / "parts", resume=True)
    for one, other in zip(parts.denoiser.parameters(), whole.denoiser.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_model_file_needs_data(base: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run that knows its data: give --data"):
        tune_to_consistency(base / "plain" / "model.safetensors", tmp_path / "tuned", samples=8)
