"""Sampling in parallel in time: the sampler's own result, in fewer turns."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from exact import mixture
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.samplers.grid import LogSNR, Uniform
from pellucid.samplers.picard import Picard
from pellucid.samplers.sampler import Progress
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM

SERIAL: list[Any] = [
    "ddim", {"name": "ddim", "eta": 1.0}, "euler", "heun", {"name": "heun", "churn": 20}, "rk4",
    {"name": "dpmpp", "order": 3}, "dpmpp_sde", "unipc", {"name": "ipndm", "history": 4}, "ancestral",
]  # fmt: skip


class Counted(Denoiser):
    """Another, with the rows of each call."""

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__(denoiser.process)
        self.denoiser = denoiser
        self.rows: list[int] = []

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:
        self.rows.append(len(x_t))
        found: Posterior = self.denoiser(x_t, t, cond)
        return found


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


def both(denoiser: Denoiser, picard: Picard, steps: int, callback: Any = None) -> tuple[Tensor, Tensor]:
    """Samples step by step and in parallel, from the same noise."""
    schedule = denoiser.process.schedule
    grid = LogSNR()(schedule, steps) if isinstance(schedule, EDM) else Uniform()(schedule, steps)
    x = schedule.sigma(grid[0]) * Key(0, "start").normal(range(5), (2,))
    serial = picard.serial.sample(denoiser, x, grid, draws=Keyed(0, range(5)))
    return serial, picard.sample(denoiser, x, grid, draws=Keyed(0, range(5)), callback=callback)


@pytest.mark.parametrize("window", [1, 4, 100])
@pytest.mark.parametrize("schedule", [EDM(), Cosine()], ids=lambda schedule: type(schedule).__name__)
@pytest.mark.parametrize("sampler", SERIAL, ids=str)
def test_it_equals_the_sampler_step_by_step(sampler: Any, schedule: Any, window: int) -> None:
    """In float64, with tolerance 0: multistep methods, several evaluations a step, and noise; any window."""
    serial, parallel = both(mixture(schedule), Picard(sampler=sampler, window=window, tolerance=0), steps=12)
    torch.testing.assert_close(parallel, serial, rtol=0, atol=1e-6)


@pytest.mark.parametrize("sampler", ["ddim", "dpmpp", "unipc"])
def test_it_takes_fewer_turns(sampler: str) -> None:
    """Of 100 steps at most half are waited for, for an error that no picture shows; and what it called is what it says."""
    denoiser, seen = Counted(mixture(Cosine())), list[Progress]()
    serial, parallel = both(denoiser, Picard(sampler=sampler, window=32), steps=100, callback=seen.append)
    turns = len(denoiser.rows) - 100
    assert turns <= 50
    assert float((parallel - serial).abs().max()) < 0.01
    assert sum(denoiser.rows[100:]) == 5 * seen[-1].nfe > 5 * 100
    assert [now.step for now in seen] == list(range(1, 101))
    assert all(now.x0 is not None and now.steps == 100 for now in seen)


def test_the_tolerance_bounds_the_error() -> None:
    """Closer in proportion, at the price of more turns."""
    errors, turns = [], []
    for tolerance in (1e-2, 1e-3, 1e-4):
        denoiser = Counted(mixture(Cosine()))
        serial, parallel = both(denoiser, Picard(tolerance=tolerance, window=32), steps=60)
        errors.append(float((parallel - serial).square().mean().sqrt()) / tolerance)
        turns.append(len(denoiser.rows) - 60)
    assert max(errors) < 20
    assert turns == sorted(turns)


def test_a_model_under_guidance_in_an_interval() -> None:
    """Labels, prices of evaluations that differ along the way, batches: the same samples, and the calls that were made."""
    config = ModelConfig(network={"name": "mlp", "width": 16, "depth": 1})
    made = Model.create(config, Facts(shape=(1, 4, 4), labels=("a", "b")))
    with torch.no_grad():
        for parameter in made.denoiser.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    settings: dict[str, Any] = {"label": "all", "guidance": 2.0, "guidance_interval": (-2.0, 2.0), "steps": 8, "batch": 4}
    rows: list[int] = []
    serial = made.sample(6, sampler="dpmpp", **settings)
    assert isinstance(made.denoiser.network, torch.nn.Module)
    made.denoiser.network.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    parallel = made.sample(6, sampler={"name": "picard", "sampler": "dpmpp", "tolerance": 1e-6}, **settings)
    torch.testing.assert_close(parallel.data, serial.data, rtol=0, atol=1e-3)
    assert sum(rows) == pytest.approx(6 * parallel.nfe, abs=3)


@pytest.mark.parametrize(("settings", "message"), [
    ({"window": 0}, "window = 0 is out of range"), ({"tolerance": -1}, "tolerance = -1 is out of range"),
    ({"sampler": "dimm"}, "Unknown sampler 'dimm': did you mean 'ddim'"),
    ({"sampler": "picard"}, "expected a sampler that goes step by step"),
    ({"sampler": {"name": "ddim", "etta": 1}}, "Unknown setting 'etta' of sampler.ddim: did you mean 'eta'"),
])  # fmt: skip
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Picard(**settings)


def test_what_the_sampler_refuses_is_refused() -> None:
    """A sampler that needs samples, of a model that has a mean only."""
    config = ModelConfig(network={"name": "mlp", "width": 16, "depth": 1})
    made = Model.create(config, Facts(shape=(1, 4, 4)))
    with pytest.raises(UnsupportedError, match="Consistency needs a sample"):
        made.sample(1, sampler={"name": "picard", "sampler": "consistency"})
