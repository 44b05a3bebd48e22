"""Grids: falling from 1 to 0 on every schedule, and each convention against its paper or against integers."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.core.config import build
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.schedules import schedules
from pellucid.schedules.additive import Additive
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.shifted import Shifted
from pellucid.schedules.table import Table
from test_registries import declared

GRIDS = declared("pellucid.samplers")["grids"]
DDPM = Table.from_betas()
SCHEDULES: dict[str, Schedule] = {
    **{name: schedules[name].example() for name in schedules},
    "additive-noising": Additive(steps=10, direction="noising"),
    "edm-narrow": EDM(sigma_max=0.001),
    "edm-wide": EDM(sigma_max=5000.0),
    "shifted-linear": Shifted(base=Linear(), shift=5.0),
    "table-ddpm": DDPM,
}
SPACINGS = ("leading", "trailing", "linspace")
every_schedule = pytest.mark.parametrize("schedule", [pytest.param(value, id=key) for key, value in SCHEDULES.items()])
every_grid = pytest.mark.parametrize("name", [name for name in GRIDS if name != "listed"])
every_continuous = pytest.mark.parametrize("name", [name for name in GRIDS if name not in ("table", "listed")])


def grid(name: str, schedule: Schedule, steps: int, **settings: Any) -> Tensor:
    found: Tensor = build(GRIDS, {"name": name, **settings})(schedule, steps)
    return found


def refused(name: str, schedule: Schedule) -> bool:
    """Whether a table's grid was asked of a schedule that has no table."""
    return name == "table" and not isinstance(schedule, Table)


def ratios(schedule: Schedule, t: Tensor) -> Tensor:
    return schedule.sigma(t) / schedule.alpha(t)


# --- what every grid keeps


@every_grid
@every_schedule
def test_times_fall_to_zero(name: str, schedule: Schedule) -> None:
    """n steps have n + 1 times, float64, strictly falling to exactly 0; all but a table's own begin at exactly 1."""
    if refused(name, schedule):
        with pytest.raises(UnsupportedError, match=f"needs a table schedule, not {type(schedule).__name__}"):
            grid(name, schedule, 5)
        return
    for steps in range(1, 21):
        t = grid(name, schedule, steps)
        assert t.shape == (steps + 1,)
        assert t.dtype == torch.float64
        assert bool((t.diff() < 0).all())
        assert t[-1] == 0
        assert t[0] == 1 if name != "table" else 0 < t[0] <= 1


@every_schedule
def test_every_schedule_names_a_grid_that_suits_it(schedule: Schedule) -> None:
    """The grid that a schedule recommends is registered and works on it; shifted, it recommends the same."""
    assert schedule.grid in GRIDS
    assert len(grid(schedule.grid, schedule, 7)) == 8
    assert Shifted(base=schedule, shift=2.0).grid == schedule.grid


@every_grid
@pytest.mark.parametrize("steps", [0, -3])
def test_no_steps_are_refused(name: str, steps: int) -> None:
    """Fewer than one step is out of range, with the number that came."""
    with pytest.raises(ConfigError, match=f"steps = {steps} is out of range"):
        grid(name, DDPM, steps)


@pytest.mark.parametrize(("section", "message"), [
    ({"name": "karras", "rho": 0}, "rho = 0 is out of range"),
    ({"name": "karras", "sigma_min": 90}, r"sigma_min = 90 is out of range: allowed is \(0, 80\)"),
    ({"name": "log_snr", "sigma_min": 0}, "sigma_min = 0 is out of range"),
    ({"name": "log_snr", "sigma_max": 0.001}, r"sigma_min = 0.002 is out of range: allowed is \(0, 0.001\)"),
    ({"name": "table", "spacing": "leadin"}, "'leading', 'trailing' or 'linspace', got 'leadin'"),
], ids=str)
def test_bad_settings_are_refused_with_the_range(section: dict[str, Any], message: str) -> None:
    """What came and what is allowed."""
    with pytest.raises(ConfigError, match=message):
        build(GRIDS, section)


# --- the published spacings


@pytest.mark.parametrize("steps", [1, 2, 7, 20])
def test_uniform_and_quadratic(steps: int) -> None:
    """Equal steps in t, and in the square root of t (Song et al. 2021, appendix D.2)."""
    linear = [1 - i / steps for i in range(steps + 1)]
    np.testing.assert_allclose(grid("uniform", Rectified(), steps), linear, rtol=0, atol=1e-15)
    np.testing.assert_allclose(grid("quadratic", Rectified(), steps).sqrt(), linear, rtol=0, atol=1e-15)


@pytest.mark.parametrize("rho", [1.0, 3.0, 7.0])
@pytest.mark.parametrize("steps", [2, 3, 18])
def test_karras_equals_its_equation(rho: float, steps: int) -> None:
    """Karras et al. 2022, eq. 5, on EDM's own curve, where sigma = 80 t."""
    expected = [(80 ** (1 / rho) + i / (steps - 1) * (0.002 ** (1 / rho) - 80 ** (1 / rho))) ** rho for i in range(steps)]
    found = 80 * grid("karras", EDM(), steps, rho=rho)
    np.testing.assert_allclose(found, [*expected, 0], rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("schedule", [Linear(), Cosine(), Rectified(), EDM(), DDPM], ids=lambda s: type(s).__name__)
def test_noise_levels_are_those_asked_for_on_any_curve(schedule: Schedule) -> None:
    """On every curve sigma / alpha runs between the limits, evenly in its power 1 / rho or in its logarithm."""
    evenly = {"karras": (lambda r: r ** (1 / 7), lambda v: v**7), "log_snr": (np.log, np.exp)}
    for name, (even, back) in evenly.items():
        t = grid(name, schedule, 12, sigma_min=0.02, sigma_max=9.0)
        expected = back(np.linspace(even(9.0), even(0.02), 12))
        np.testing.assert_allclose(ratios(schedule, t)[1:-1], expected[1:], rtol=1e-6)
        assert t[0] == 1  # whatever the level there


def test_limits_give_way_to_the_schedule() -> None:
    """Where the curve ends below sigma_max, or even below sigma_min, its own end takes their place."""
    torch.testing.assert_close(80 * grid("karras", EDM(), 5, sigma_max=1e4)[0], torch.tensor(80.0).double())
    narrow = 0.001 * grid("log_snr", EDM(sigma_max=0.001), 4)
    np.testing.assert_allclose(narrow[:-1], 0.001 * 0.5 ** (np.arange(4) / 3), rtol=1e-9)


# --- the published tables


def indices(steps: int, spacing: str, **settings: Any) -> list[int]:
    """The steps of DDPM's table at which a grid stops, as the numbers 0 .. 999."""
    t = grid("table", DDPM, steps, spacing=spacing, **settings)[:-1] * 1000 - 1
    k = t.round()
    torch.testing.assert_close(t, k, rtol=0, atol=1e-9)
    return [int(value) for value in k]


def published(steps: int, spacing: str) -> list[int]:
    """The list of diffusers, by numpy, as in its schedulers' `set_timesteps`."""
    ratio = 1000 / steps
    return [int(k) for k in {
        "leading": (np.arange(steps) * (1000 // steps))[::-1],
        "trailing": np.round(np.arange(1000, 0, -ratio)) - 1,
        "linspace": np.linspace(0, 999, steps).round()[::-1],
    }[spacing]]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_tables_equal_the_published_lists(spacing: str) -> None:
    """For every number of steps in common use the indices are those of diffusers, one by one."""
    for steps in (2, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 35, 40, 50, 75, 100, 125, 150, 200, 250, 300, 500, 1000):
        assert indices(steps, spacing) == published(steps, spacing)


def test_well_known_lists() -> None:
    """Lin et al. 2024, table 2 (the paper counts from 1), and Stable Diffusion's offset of 1."""
    assert indices(5, "leading") == [800, 600, 400, 200, 0]
    assert indices(5, "leading", offset=1) == [801, 601, 401, 201, 1]
    assert indices(5, "trailing") == [999, 799, 599, 399, 199]
    assert indices(5, "linspace") == [999, 749, 500, 250, 0]
    assert [k + 1 for k in indices(10, "linspace")] == [1000, 889, 778, 667, 556, 445, 334, 223, 112, 1]


@pytest.mark.parametrize("spacing", SPACINGS)
def test_tables_of_any_number_of_steps(spacing: str) -> None:
    """From 1 to 1000 steps: as many distinct indices as steps, each the exact fraction of the table rounded to nearest."""
    for steps in (*range(1, 1001, 37), 61, 103, 240, 976, 999, 1000):  # where floats round unlike fractions, too
        found = indices(steps, spacing)
        exact = {
            "leading": [Fraction(k) for k in published(steps, "leading")],
            "trailing": [1000 - Fraction(1000 * i, steps) - 1 for i in range(steps)],
            "linspace": [999 - Fraction(999 * i, max(1, steps - 1)) for i in range(steps)],
        }[spacing]
        assert len(set(found)) == steps
        assert max(abs(k - value) for k, value in zip(found, exact, strict=True)) <= Fraction(1, 2)
        assert found == sorted(found, reverse=True)
        assert 0 <= found[-1] <= found[0] <= 999


@pytest.mark.parametrize("spacing", ["leading", "linspace"])
def test_a_table_without_its_last_step(spacing: str) -> None:
    """One step more than is asked for, of which the last is left out, as diffusers does for DPM-Solver and UniPC."""
    for steps in (1, 4, 19, 20, 50, 999):
        assert indices(steps, spacing, skip_last=True) == published(steps + 1, spacing)[:-1]
    with pytest.raises(ConfigError, match=r"steps = 1000 is out of range: allowed is \[1, 999\]"):
        grid("table", DDPM, 1000, spacing=spacing, skip_last=True)


def test_a_table_that_ends_above_the_data() -> None:
    """At the table's first step, with its noise; where that is a step itself there is one step less."""
    for offset, count in ((1, 51), (0, 50)):
        t = grid("table", DDPM, 50, offset=offset, to_data=False)
        assert (len(t), float(t[-1])) == (count, 0.001)
        assert bool((t.diff() < 0).all())


def test_tables_refuse_what_they_have_not() -> None:
    """More steps than the table has are refused."""
    with pytest.raises(ConfigError, match=r"steps = 1001 is out of range: allowed is \[1, 1000\]"):
        grid("table", DDPM, 1001)


@pytest.mark.parametrize(("steps", "offset"), [(1000, 1), (3, 500), (10, -1)])
def test_an_offset_beyond_the_table_is_refused(steps: int, offset: int) -> None:
    """An offset under which steps would leave the table, or meet, is refused; times never repeat nor reach 0 early."""
    try:
        t = grid("table", DDPM, steps, offset=offset)
    except ConfigError:
        return
    assert bool((t.diff() < 0).all())
    assert [round(float(v) * 1000) - 1 for v in t[:-1]] == [k + offset for k in published(steps, "leading")]


def test_times_as_they_are_given() -> None:
    """For as many steps as there are, over any schedule; they fall from 1."""
    assert grid("listed", Linear(), 3, at=[1, 0.5, 0.1]).tolist() == [1, 0.5, 0.1, 0]
    with pytest.raises(UnsupportedError, match="for 3 steps, not for 4"):
        grid("listed", Linear(), 4, at=[1, 0.5, 0.1])
    for times in ([], [0.9, 0.5], [1, 0.5, 0.5], [1, 0]):
        with pytest.raises(ConfigError, match="expected them to fall from 1, all above 0"):
            grid("listed", Linear(), len(times), at=times)
