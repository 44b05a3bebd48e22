"""Times that follow the losses: their distribution, that they leave the objective alone, and that runs with them resume."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, InterruptedRunError
from pellucid.losses.adaptive import FORGET, Adaptive, Profile
from pellucid.losses.time import Mode
from pellucid.schedules.learned import Learned
from pellucid.schedules.rectified import Rectified
from pellucid.training.train import train
from test_start import Stop

LOSSES = torch.tensor([0.1, 0.2, 3.0, 1.0])
SCHEDULE = Rectified()


def filled(**settings: Any) -> Adaptive:
    """In each of four slices one loss was seen."""
    times = Adaptive(bins=4, **settings)
    times.profile.add(torch.arange(4), LOSSES)
    times.profile.fold()
    return times


def numbers(n: int) -> Tensor:
    """Midpoints of n equal slices of (0, 1)."""
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


@pytest.mark.parametrize("even", [0.0, 0.3, 1.0])
def test_each_slice_comes_as_often_as_its_loss_says(even: float) -> None:
    times = filled(even=even, stratify=1)
    q = even * LOSSES.double().mean() + (1 - even) * LOSSES.double()
    torch.testing.assert_close(times.densities(), q / q.mean(), rtol=1e-6, atol=0)
    t = times.quantile(numbers(100_000), SCHEDULE)
    shares = torch.bincount(times.slices(t, SCHEDULE), minlength=4) / len(t)
    torch.testing.assert_close(shares.double(), q / q.sum(), rtol=0, atol=1e-4)
    assert bool((t.diff() > 0).all())


def test_slices_are_those_of_the_base() -> None:
    times, u = filled(), numbers(1000)
    assert torch.equal(times.slices(Mode().quantile(u, SCHEDULE), SCHEDULE), (4 * u).long())


@pytest.mark.parametrize("base", ["mode", "uniform", "log_normal"])
def test_the_objective_is_the_bases_and_its_estimate_varies_less(base: str) -> None:
    """E_p[f / density] = E_base[f]; for losses as they were seen, f / density is the same everywhere with even = 0."""
    times, u = filled(base=base, even=0.0), numbers(400_000)

    def loss(t: Tensor) -> Tensor:
        return LOSSES.double()[times.slices(t, SCHEDULE)]

    drawn = times.quantile(u, SCHEDULE)
    estimate = loss(drawn) / times.densities()[times.slices(drawn, SCHEDULE)]
    plain = loss(times._base.quantile(u, SCHEDULE))
    torch.testing.assert_close(estimate.mean(), plain.mean(), rtol=1e-4, atol=0)
    assert float(estimate.std()) < 1e-6 < 1 < float(plain.std())


def test_a_profile_forgets_and_counts_in_parts_as_in_one() -> None:
    whole, parts = Profile(3), Profile(3)
    slices, losses = torch.tensor([0, 0, 1]), torch.tensor([1.0, 3.0, 2.0])
    assert torch.equal(whole.roots(), torch.ones(3, dtype=torch.float64))
    whole.add(slices, losses)
    for part in (slice(0, 1), slice(1, 3)):
        parts.add(slices[part], losses[part])
        assert torch.equal(parts.roots(), torch.ones(3, dtype=torch.float64))  # until the step is done
    for profile in (whole, parts):
        profile.fold()
    assert torch.equal(whole.roots(), parts.roots())
    torch.testing.assert_close(whole.roots(), torch.tensor([5**0.5, 2.0, (5**0.5 + 2) / 2], dtype=torch.float64))
    whole.add(torch.tensor([1]), torch.tensor([0.0]))
    whole.fold()
    assert float(whole.roots()[1]) == pytest.approx((FORGET * 4 / (1 + FORGET)) ** 0.5)


def test_a_learned_schedule_has_its_quantiles() -> None:
    """Uniform times on it have the distribution of log-SNR that the adaptive times have."""
    times = filled(stratify=1)
    learned = Learned(knots=times.knots(SCHEDULE, 400))
    u = numbers(997)[5:-5]
    ours, theirs = learned.log_snr(u), SCHEDULE.log_snr(times.quantile(u, SCHEDULE))
    inside = theirs.abs() < 10
    torch.testing.assert_close(ours[inside], theirs[inside], rtol=0, atol=0.05)
    for knots in ((1.0,), (1.0, 2.0), (1.0, 1.0), (3.0, float("-inf"), float("-inf"))):
        with pytest.raises(ConfigError, match="strictly falling"):
            Learned(knots=knots)


def test_a_learned_schedule_may_begin_almost_clean() -> None:
    """Where alpha cannot be told from 1, log-SNR still is what it was learned to be."""
    knots = (60.0, 45.0, 0.0, -50.0)
    t = torch.arange(1, 5, dtype=torch.float64) / 4
    ratio = Learned(knots=knots).log_snr(t)
    torch.testing.assert_close(ratio, torch.tensor(knots, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_runs_with_it_resume_and_may_be_split(tmp_path: Path) -> None:
    """To the bit; with micro-batches up to the order of a sum. The card has a schedule, with which a run can be made."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (64, 4, 4), dtype=np.uint8))
    settings = ["network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "sampling.steps=2",
                "training.evaluate=false", "loss.times.name=adaptive", "training.precision=float64",
                "training.checkpoint_samples=32"]  # fmt: skip
    whole = train(tmp_path / "x.npy", tmp_path / "whole", samples=128, settings=settings)
    with pytest.raises(InterruptedRunError):
        train(tmp_path / "x.npy", tmp_path / "cut", samples=128, settings=settings, observer=Stop(80))
    again = train(None, tmp_path / "cut", resume=True)
    assert all(torch.equal(value, again.tensors()[name]) for name, value in whole.tensors().items())
    split = train(tmp_path / "x.npy", tmp_path / "split", samples=128, settings=[*settings, "training.micro_batch=4"])
    for name, value in whole.tensors().items():
        torch.testing.assert_close(split.tensors()[name], value, rtol=0, atol=1e-6)
    knots = whole.card["learned_schedule"]
    assert knots != Adaptive().knots(SCHEDULE)
    more = ["loss.times.name=uniform", "schedule.name=learned", f"schedule.knots={knots}"]
    made = train(tmp_path / "x.npy", tmp_path / "learned", samples=32, settings=[*settings, *more])
    assert bool(made.sample(2).data.isfinite().all())
    with pytest.raises(ConfigError, match="follows the losses of a regression"):
        train(tmp_path / "x.npy", tmp_path / "vae", samples=32, settings=[*settings, "denoiser.name=variational"])
