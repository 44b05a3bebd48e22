"""How long training by the clock lasts, at any speed, changing on the way, and with stalls."""

import json
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pellucid.training.pace import Pace
from pellucid.training.plan import Plan, learning_rate_factor


@given(samples=st.integers(1, 10**6), batch=st.integers(1, 512))
def test_a_given_number_of_samples_is_rounded_up_to_whole_batches(samples: int, batch: int) -> None:
    """Progress is the share of them, and exactly 1 at the end."""
    plan = Plan(batch=batch, samples=samples)
    assert samples <= (plan.total or 0) < samples + batch
    assert (plan.total or 0) % batch == 0
    assert (plan.progress(0), plan.progress(plan.total or 0)) == (0, 1)
    assert not plan.tick(0, 1e9, 1.0)


def simulate(minutes: float, batch: int, speed: Callable[[float], float]) -> tuple[Plan, list[float], float]:
    """A run by the clock at `speed(share of the minutes)` samples per second: plan, progress at each step, time taken."""
    plan, pace, seen, clock, path = Plan(batch=batch, minutes=minutes), Pace(), 0, 0.0, []
    while plan.total is None or seen < plan.total:
        path.append(plan.progress(seen))
        took = batch / speed(clock / (60 * minutes))
        clock, seen = clock + took, seen + batch
        plan.tick(seen, took, pace.tick(batch, took))
    return plan, [*path, plan.progress(seen)], clock


@settings(max_examples=60, deadline=None)
@given(minutes=st.floats(0.5, 60), steps=st.integers(200, 3000), change=st.floats(0, 0.7), factor=st.floats(0.4, 2.5))
def test_minutes_are_kept(minutes: float, steps: int, change: float, factor: float) -> None:
    """Whatever the speed, changing once on the way: progress never jumps or falls, ends at 1, near the minutes.

    The rate remembers 20 s and the end moves only if it is off by 3 %, so no plan can be exact.
    """
    batch, before = 64, 64 * steps / (60 * minutes)
    plan, path, clock = simulate(minutes, batch, lambda share: before if share < change else before * factor)
    assume(plan.legs[-1][2] > plan.legs[-1][0])  # else it broke off: see the next test
    assert (path[0], path[-1]) == (0, pytest.approx(1, abs=1e-15))
    assert np.diff(path).min() >= 0
    assert np.diff(path).max() < 0.2
    slack = 20 / (60 * minutes) + 3 / (steps * min(1.0, factor))  # the memory of the rate; whole steps
    assert 0.9 - slack < clock / (60 * minutes) < 1.1 + slack
    for index, (start, done, _) in enumerate(plan.legs[1:], 1):  # a new leg begins where the old one was
        assert Plan(batch=batch, minutes=minutes, legs=plan.legs[:index]).progress(start) == pytest.approx(done, abs=1e-12)
    again = Plan(batch=batch, minutes=minutes).restore(json.loads(json.dumps(plan.state())))
    assert again == plan
    assert all(again.progress(seen) == plan.progress(seen) for seen in range(0, plan.total or 0, 640))


@pytest.mark.parametrize(("change", "factor", "share"), [(0.0, 1.0, 0.03), (0.5, 0.5, 0.05), (0.5, 2.0, 0.05)])
def test_ten_minutes_are_ten_minutes(change: float, factor: float, share: float) -> None:
    """At a steady speed within 3 %; within 5 % when it halves or doubles half-way."""
    plan, _, clock = simulate(10, 64, lambda now: 500.0 if now < change else 500.0 * factor)
    assert abs(clock / 600 - 1) < share
    assert plan.elapsed == pytest.approx(clock)
    assert len(plan.legs) == (1 if factor == 1 else len(plan.legs)) <= 6


@pytest.mark.parametrize("when", [0.03, 0.3, 0.4501, 0.9])
def test_a_stall_costs_its_own_time(when: float) -> None:
    """A laptop that is shut for a minute of twenty: so much is lost, and no more for a speed that was measured then."""
    minutes, whole, stalled = 20.0, 500.0, False

    def speed(now: float) -> float:
        nonlocal stalled
        if stalled or now < when:
            return whole
        stalled = True
        return 64 / 60

    plan, path, clock = simulate(minutes, 64, speed)
    assert clock / (60 * minutes) == pytest.approx(1, abs=0.05)
    assert np.diff(path).max() < 0.02  # the first: until the speed is measured
    assert (plan.total or 0) == pytest.approx(whole * 60 * (minutes - 1), rel=0.05)


@pytest.mark.parametrize(("minutes", "steps", "change", "factor"), [
    (1.0, 201, 0.5, 0.5), (0.5, 176, 0.55008312, 0.37982963),
])  # fmt: skip
def test_the_rate_arrives_at_zero_when_time_is_short(minutes: float, steps: int, change: float, factor: float) -> None:
    """Also when the speed falls in a short run: progress goes on to 1 in small steps instead of breaking off."""
    _, path, _ = simulate(minutes, 64, lambda share: 64 * steps / (60 * minutes) * (1 if share < change else factor))
    assert 1 - path[-1] < 1e-12 < 1 - path[-2] < 0.05


def test_the_rate_at_the_end_is_exactly_zero() -> None:
    """Wherever the last leg began."""
    for done in np.linspace(0.01, 0.99, 99).tolist():
        plan = Plan(batch=64, minutes=1.0, legs=[(0, 0.0, 12864), (704, done, 12864)])
        assert learning_rate_factor(12864, plan.progress(12864), warmup=2048, decay=0.5) == 0
