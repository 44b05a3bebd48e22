"""The plan of a sampler does what the sampler does, whatever the denoiser answers."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Keyed
from pellucid.denoisers.mixture import Mixture
from pellucid.interop.plan import Plan
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers import samplers
from pellucid.samplers.grid import Uniform
from pellucid.samplers.sampler import Sampler
from pellucid.schedules import schedules

VALUES = [name for name in samplers if samplers[name].needs != "logits" and name != "picard"]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("schedule", ["rectified", "ve"])
def test_a_plan_is_what_the_sampler_does(name: str, schedule: str) -> None:
    """On the exact denoiser of a mixture, where nothing is linear, to the last digits of float64."""
    example: Sampler = samplers[name].example()
    mixture, steps = Mixture.example(), 3 if name == "learned" else 7
    denoiser = Mixture(
        Gaussian(schedule=schedules[schedule].example()), weights=mixture.weights, means=mixture.means,
        covariances=mixture.covariances,
    )  # fmt: skip
    if example.needs == "sample":
        denoiser = Meaning(denoiser)  # draws of it would not come from the noises that a plan counts
    if name in ("heun", "ddim"):
        example = replace(example, **{"churn": 3.0} if name == "heun" else {"eta": 0.7})
    times = Uniform()(denoiser.process.schedule, steps)
    draws, shape = Keyed(3, [5, 6]), (mixture.means.shape[1],)
    x = 2 * draws.normal("prior", 0, shape)
    plan = Plan.of(example, denoiser.process, times)
    known = [x, *(draws.normal(purpose, step, shape) for purpose, step in plan.noises)]
    known += [torch.zeros_like(x)] * len(plan.times)
    for j, (row, t) in enumerate(zip(plan.rows, plan.times, strict=True)):
        state = torch.stack([share * one for share, one in zip(row, known, strict=True)]).sum(0)
        known[len(plan.noises) + 1 + j] = denoiser(state, t).mean
    found = torch.stack([share * one for share, one in zip(plan.last, known, strict=True)]).sum(0)
    expected = example.sample(denoiser, x, times, draws=draws)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert bool(plan.noises) == example.stochastic


class Meaning(Mixture):
    """Whose draws are its mean."""

    def __init__(self, of: Mixture) -> None:
        super().__init__(of.process, weights=of.weights, means=of.means, covariances=of.covariances)

    def forward(self, x_t: Tensor, t: Tensor, cond: Any = None) -> Any:
        posterior = super().forward(x_t, t, cond)
        return Fixed(posterior.mean)


class Fixed:
    """A draw that is no draw."""

    def __init__(self, mean: Tensor) -> None:
        self.mean = mean

    def sample(self, *_: Any) -> Tensor:
        return self.mean


def test_a_plan_that_is_none() -> None:
    with pytest.raises(UnsupportedError, match="name that one"):
        Plan.of(samplers["picard"].example(), Mixture.example().process, torch.tensor([1.0, 0.0]))
