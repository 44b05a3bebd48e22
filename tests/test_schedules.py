"""Contracts that every registered schedule keeps, and the closed forms of those that have one."""

import math

import pytest
import torch
from torch import Tensor

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.schedules import schedules
from pellucid.schedules.additive import Additive
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear, ScaledLinear
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.shifted import Shifted
from pellucid.schedules.table import Table

EVERY = [pytest.param(schedules[name].example(), id=name) for name in schedules] + [
    pytest.param(Additive(steps=10, direction=direction, continuous=continuous), id=f"additive-{direction}-{continuous}")
    for direction in ("noising", "generation") for continuous in (False, True)
] + [
    pytest.param(Shifted(base=Linear(), shift=0.5), id="shifted-linear"),
    pytest.param(Shifted(base=EDM(), shift=2.0), id="shifted-edm"),
    pytest.param(Cosine(offset=0.0), id="cosine-0"),
    pytest.param(Table.from_betas("scaled_linear", start=0.00085, end=0.012), id="table-sd"),
]


def times(n: int = 401, margin: float = 1e-5) -> Tensor:
    return torch.linspace(margin, 1 - margin, n, dtype=torch.float64)


def ends() -> Tensor:
    return torch.tensor([0.0, 1.0], dtype=torch.float64)


@pytest.mark.parametrize("schedule", EVERY)
def test_starts_at_clean_data_and_has_no_nan(schedule: Schedule) -> None:
    assert schedule.alpha(ends())[0] == 1
    assert schedule.sigma(ends())[0] == 0
    for curve in (schedule.alpha, schedule.sigma, schedule.d_alpha, schedule.d_sigma):
        assert not curve(ends()).isnan().any()
    assert schedule.zero_terminal_snr == (float(schedule.log_snr(ends())[1]) == -math.inf)


@pytest.mark.parametrize("schedule", EVERY)
def test_log_snr_strictly_falls_and_inverts(schedule: Schedule) -> None:
    t = torch.cat([torch.zeros(1, dtype=torch.float64), times(), torch.ones(1, dtype=torch.float64)])
    log_snr = schedule.log_snr(t)
    assert (log_snr.diff() < 0).all()
    assert (schedule.d_log_snr(times()) < 0).all()
    torch.testing.assert_close(schedule.time_at(log_snr), t, rtol=1e-9, atol=1e-15)
    assert schedule.time_at(torch.tensor([math.inf, -math.inf])).tolist() == [0, 1]


@pytest.mark.parametrize("schedule", EVERY)
def test_derivatives_equal_autograd(schedule: Schedule) -> None:
    t = times().requires_grad_()
    for curve, derivative in ((schedule.alpha, schedule.d_alpha), (schedule.sigma, schedule.d_sigma)):
        (slope,) = torch.autograd.grad(curve(t).sum() + 0 * t.sum(), t)
        torch.testing.assert_close(derivative(t.detach()), slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("schedule", EVERY)
def test_family(schedule: Schedule) -> None:
    alpha, sigma = schedule.alpha(times()), schedule.sigma(times())
    held = {"variance-preserving": alpha**2 + sigma**2, "rectified": alpha + sigma, "variance-exploding": alpha}
    torch.testing.assert_close(held[schedule.family], torch.ones_like(alpha))


@pytest.mark.parametrize("direction", ["noising", "generation"])
@pytest.mark.parametrize("steps", [1, 10, 1000])
def test_additive_variance_is_the_sum_of_its_increments(direction: str, steps: int) -> None:
    schedule = Additive(steps=steps, direction=direction, tau=steps / 5, increment_0=2.0)
    increments = schedule.increments()
    assert float(increments.max()) == pytest.approx(2.0)
    assert int(increments.argmax()) == (0 if direction == "noising" else steps - 1)
    k = torch.arange(steps + 1, dtype=torch.float64)
    summed = torch.cat([torch.zeros(1, dtype=torch.float64), increments.cumsum(0)])
    torch.testing.assert_close(schedule.variance(k / steps), summed, rtol=1e-12, atol=1e-14)


def test_additive_variance_equals_the_closed_form_of_the_first_direction() -> None:
    c0, tau, steps = 0.7, 3.0, 10
    k = torch.arange(1, steps + 1, dtype=torch.float64)
    closed = c0 * (1 - torch.exp(-k / tau)) / (1 - math.exp(-1 / tau))
    schedule = Additive(steps=steps, tau=tau, increment_0=c0, direction="noising")
    torch.testing.assert_close(schedule.variance(k / steps), closed, rtol=1e-13, atol=0)


def test_additive_tends_to_its_continuous_limit() -> None:
    def gap(n: int) -> float:
        chain, limit = (Additive(steps=n, tau=n / 5, increment_0=1 / n, continuous=c) for c in (False, True))
        return float((chain.sigma(times()) - limit.sigma(times())).abs().max())

    assert gap(100) > 9 * gap(1000) > 81 * gap(10_000)


@pytest.mark.parametrize(("kind", "limit", "start", "end"), [
    ("linear", Linear(), 1e-4, 0.02), ("scaled_linear", ScaledLinear(), 0.00085, 0.012),
])
def test_tables_tend_to_the_continuous_schedules(kind: str, limit: Schedule, start: float, end: float) -> None:
    table = Table.from_betas(kind, start=start, end=end)  # type: ignore[arg-type]
    t = torch.linspace(0.05, 1, 96, dtype=torch.float64)
    torch.testing.assert_close(table.log_snr(t), limit.log_snr(t), rtol=0.02, atol=0.1)


def test_table_goes_through_its_values() -> None:
    table = Table.from_betas("linear")
    t = torch.arange(1, 1001, dtype=torch.float64) / 1000
    assert float(table.alphas_cumprod[-1]) == pytest.approx(4.0358e-5, rel=1e-4)  # Ho et al.: the known last value
    expected = torch.tensor(table.alphas_cumprod, dtype=torch.float64)
    torch.testing.assert_close(table.alpha(t) ** 2, expected, rtol=1e-11, atol=0)


def test_zero_terminal_snr_table_is_exactly_zero_and_finite_inside() -> None:
    table = Table.from_betas("scaled_linear", start=0.00085, end=0.012, zero_terminal_snr=True)
    assert table.alpha(ends()).tolist() == [1, 0]
    assert table.log_snr(times(margin=1e-9)).isfinite().all()


def test_shift_moves_log_snr() -> None:
    for base in (Linear(), Cosine(), EDM()):
        moved = Shifted(base=base, shift=4.0).log_snr(times()) - base.log_snr(times())
        torch.testing.assert_close(moved, torch.full_like(moved, -2 * math.log(4)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("section", "said"), [
    ({"name": "linear", "beta_max": -1}, "beta_max = -1 is out of range: allowed is (0, 1000)"),
    ({"name": "linear", "beta_min": 30}, "beta_min = 30 is out of range: allowed is [0, 20]"),
    ({"name": "cosine", "offset": 2}, "offset = 2"),
    ({"name": "additive", "steps": 0}, "steps = 0"),
    ({"name": "additive", "direction": "up"}, "'generation' or 'noising', got 'up'"),
    ({"name": "additive", "tauu": 3}, "did you mean 'tau'"),
    ({"name": "sigmoid", "tau": "x"}, "expected a number, got 'x'"),
    ({"name": "table", "alphas_cumprod": [0.5, 0.6]}, "strictly falling"),
    ({"name": "edm", "sigma_max": float("nan")}, "sigma_max = nan"),
    ({"name": "cosin"}, "did you mean 'cosine'"),
    ({}, "needs a name"),
])
def test_bad_parameters_are_refused_with_the_range(section: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(schedules, section)
    assert said in str(error.value)
