"""Orders of convergence of the deterministic samplers, measured with the exact denoiser of a mixture in float64.

The reference solves the probability-flow ODE by other means (`exact.flow`). Errors are root mean squares over 64 samples.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from functools import cache
from math import atan, log, pi

import numpy as np
import pytest
import torch
from torch import Tensor

from draws import FastDraws
from exact import Array, flow, mixture
from pellucid.core.errors import UnsupportedError
from pellucid.denoisers.mixture import Mixture
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers import samplers
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolver
from pellucid.samplers.grid import Uniform
from pellucid.samplers.ipndm import IPNDM
from pellucid.samplers.learned import Learned
from pellucid.samplers.picard import Picard
from pellucid.samplers.runge_kutta import RK4, Euler, Heun, Midpoint
from pellucid.samplers.sampler import Past, Sampler
from pellucid.samplers.unipc import UniPC
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.sigmoid import Sigmoid

BATCH = 64
HIGH, LOW = 10.0, 0.05
"""sigma / alpha at the ends of the noise range."""
COUNTS = (64, 256, 1024)
FEW = 16
MEMORY = 3
"""Evaluations before the start that the longest multistep method wants."""

SETTINGS: list[Sampler] = [
    DDIM(eta=0.0),
    *(method(variable=variable) for method in (Euler, Heun, Midpoint, RK4) for variable in ("sigma", "angle", "t")),
    *(DPMSolver(order=order) for order in (1, 2, 3)),
    *(IPNDM(history=history, variable_step=variable) for history in (1, 2, 3, 4) for variable in (False, True)),
    *(
        UniPC(predictor_order=p, variant=variant, corrector=corrector, lower_order_final=False)
        for p in (1, 2, 3)
        for variant in ("bh1", "bh2")
        for corrector in (True, False)
    ),
    *(UniPC(predictor_order=p, corrector=corrector) for p in (2, 3) for corrector in (True, False)),
]
"""Every deterministic sampler. UniPC's `lower_order_final` ends with a first-order step, which leaves second order."""

WHOLE: list[Sampler] = [
    DDIM(eta=0.0),
    Euler(variable="angle"),
    *(Heun(variable=variable) for variable in (None, "t")),
    Midpoint(),
    RK4(),
    *(DPMSolver(order=order) for order in (2, 3)),
    *(IPNDM(history=history, variable_step=variable) for history in (2, 3, 4) for variable in (False, True)),
    *(UniPC(predictor_order=p, variant=variant) for p in (1, 2) for variant in ("bh1", "bh2")),
    *(UniPC(predictor_order=3, corrector=corrector) for corrector in (True, False)),
    UniPC(predictor_order=3, lower_order_final=False),
]
"""The same from t = 1 to t = 0, as they come, without those that are DDIM or DPM-Solver++ again."""


def name(sampler: Sampler) -> str:
    """ "heun-variable=t": what differs from the defaults."""
    changed = [f"{f.name}={getattr(sampler, f.name)}" for f in fields(sampler) if getattr(sampler, f.name) != f.default]
    return "-".join([samplers.name_of(sampler), *changed])


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """64 samples are too few to share out, and every operation is short."""
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield


# The problem and its solution ----------------------------------------------------------------------------------------------


def scalar(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def ratio(part: float) -> float:
    """sigma / alpha at a part of the way from HIGH to LOW, uniform in log-SNR; negative parts lie before the start."""
    return HIGH * float(LOW / HIGH) ** part


@cache
def inside(max_step: float = 0.02) -> dict[float, Array]:
    """part -> x / hypot(alpha, sigma) on the exact trajectory: before the start as far as methods ask, and at the end."""
    parts = sorted({-back / n for n in (FEW, *COUNTS) for back in range(MEMORY + 1)} | {1.0})
    angles = [atan(ratio(part)) for part in parts]
    start = mixture(EDM(sigma_max=ratio(parts[0]))).draw(FastDraws(BATCH), 1.0).numpy() * np.cos(angles[0])
    return dict(zip(parts, [start, *flow(mixture(EDM()), start, angles, max_step=max_step)], strict=True))


@cache
def whole(max_step: float = 0.02) -> tuple[Array, Array]:
    """x at t = 1 and at t = 0 of a schedule that ends in pure noise."""
    model = mixture(Rectified())
    start = model.draw(FastDraws(BATCH), 1.0).numpy()
    return start, flow(model, start, [pi / 2, 0.0], max_step=max_step)[-1]


def on_curve(schedule: Schedule, part: float) -> tuple[Tensor, Tensor]:
    """(t, x) of the exact trajectory in the scale of a schedule."""
    t = schedule.time_at_ratio(scalar(ratio(part)))
    return t, torch.from_numpy(inside()[part]) * torch.hypot(schedule.alpha(t), schedule.sigma(t))


def solve_inside(sampler: Sampler, schedule: Schedule, steps: int) -> Tensor:
    """The sampler from HIGH to LOW with exact start values."""
    model, past = mixture(schedule), []
    for back in range(sampler.memory, 0, -1):
        t, x = on_curve(schedule, -back / steps)
        past.append(Past(t, x, model(x, t).mean))
    parts = torch.arange(steps + 1, dtype=torch.float64) / steps
    grid = schedule.time_at_ratio(HIGH * (LOW / HIGH) ** parts)
    return sampler.sample(model, on_curve(schedule, 0.0)[1], grid, past=past)


def error_inside(sampler: Sampler, schedule: Schedule, steps: int) -> float:
    return rms(solve_inside(sampler, schedule, steps) - on_curve(schedule, 1.0)[1])


def error_whole(sampler: Sampler, steps: int) -> float:
    start, end = whole()
    model = mixture(Rectified())
    found = sampler.sample(model, torch.from_numpy(start), Uniform()(model.process.schedule, steps))
    return rms(found - torch.from_numpy(end))


def rms(x: Tensor) -> float:
    return float(x.square().mean().sqrt())


def slope(counts: Sequence[int], errors: Sequence[float]) -> float:
    """-d log error / d log steps between the last two counts."""
    assert errors[-1] > 1e-12, "rounding, not the method"
    return log(errors[-2] / errors[-1]) / log(counts[-1] / counts[-2])


def fitted_order(counts: Sequence[int], errors: Sequence[float]) -> float:
    """p of error = C n^-p e^(d / n) by least squares in the logarithm: the next order counts at the smaller n."""
    assert errors[-1] > 1e-12, "rounding, not the method"
    n = np.array(counts, dtype=np.float64)
    columns = np.stack([np.ones_like(n), -np.log(n), 1 / n], 1)
    return float(np.linalg.lstsq(columns, np.log(errors))[0][1])


# Tests ---------------------------------------------------------------------------------------------------------------------


def test_no_sampler_is_forgotten() -> None:
    """Both lists hold every registered sampler that has a deterministic setting; those left out run another, or are for one
    number of steps.
    """
    found = [samplers[key].example() for key in samplers]
    deterministic = {type(sampler) for sampler in found if not sampler.stochastic} - {Picard, Learned}
    assert deterministic == {type(sampler) for sampler in SETTINGS} == {type(sampler) for sampler in WHOLE}
    assert max(sampler.memory for sampler in SETTINGS) <= MEMORY


def test_reference_is_converged() -> None:
    """Halving the reference's largest step changes it by less than any error that is measured."""
    assert np.abs(inside()[1.0] - inside(max_step=0.01)[1.0]).max() < 1e-12
    assert np.abs(whole()[1] - whole(max_step=0.01)[1]).max() < 1e-11


@pytest.mark.parametrize("sampler", SETTINGS, ids=name)
def test_order_inside_the_noise_range(sampler: Sampler) -> None:
    """With exact start values, 64 to 1,024 steps uniform in log-SNR show the declared order."""
    errors = [error_inside(sampler, Rectified(), n) for n in COUNTS]
    assert fitted_order(COUNTS, errors) == pytest.approx(sampler.order, abs=0.2), errors
    assert slope(COUNTS, errors) == pytest.approx(sampler.order, abs=0.2), errors


@pytest.mark.parametrize("sampler", [s for s in SETTINGS if getattr(s, "variable", None) != "t"], ids=name)
def test_the_curve_between_two_noise_levels_does_not_matter(sampler: Sampler) -> None:
    """Samplers that work in sigma / alpha give the same data along every schedule: the orders hold for all of them."""
    ends = []
    for schedule in (Rectified(), EDM(), Linear(), Cosine()):
        t = schedule.time_at_ratio(scalar(LOW))
        ends.append(solve_inside(sampler, schedule, FEW) / torch.hypot(schedule.alpha(t), schedule.sigma(t)))
    assert max(float((end - ends[0]).abs().max()) for end in ends) < 1e-10


@pytest.mark.parametrize("schedule", [EDM(), Linear()], ids=["edm", "linear"])
@pytest.mark.parametrize("sampler", [s for s in SETTINGS if getattr(s, "variable", None) == "t"], ids=name)
def test_order_along_t_of_other_schedules(sampler: Sampler, schedule: Schedule) -> None:
    """The one variable that depends on the schedule has its order along a variance-exploding and a -preserving one too."""
    errors = [error_inside(sampler, schedule, n) for n in COUNTS[:2]]
    assert slope(COUNTS[:2], errors) == pytest.approx(sampler.order, abs=0.2), errors


@pytest.mark.parametrize("sampler", WHOLE, ids=name)
def test_order_from_noise_to_data(sampler: Sampler) -> None:
    """From t = 1 to t = 0 with the sampler's own start and last step the order is `whole_order`.

    The first step starts at log-SNR -inf and the last ends at +inf, both of first order; steps in log-SNR grow like the
    logarithm of the count near both ends. Second-order errors are therefore up to log(n) / n^2, which at these counts
    looks like 1.7 (DPM-Solver++ 2), and methods of small error there are still on their way down, like 2.2 (iPNDM).
    First order has no such factor.
    """
    counts = (256, 1024)
    order = slope(counts, [error_whole(sampler, n) for n in counts])
    slack = 0.35 if sampler.whole_order > 1 else 0.1
    assert sampler.whole_order - slack < order < sampler.whole_order + min(slack, 0.25)


@pytest.mark.parametrize("sampler", WHOLE, ids=name)
def test_more_steps_do_not_hurt(sampler: Sampler) -> None:
    """1 to 50 steps, odd and even: finite, and never more than twice the error at any smaller count."""
    errors = np.array([error_whole(sampler, n) for n in range(1, 51)])
    assert np.isfinite(errors).all()
    assert float((errors[1:] / np.minimum.accumulate(errors)[:-1]).max()) <= 2


@pytest.mark.parametrize("method", [Euler, Heun, Midpoint, RK4])
def test_sigma_is_refused_where_it_is_infinite(method: type[Euler]) -> None:
    """From pure noise without signal, sigma / alpha is no variable to integrate along; the default chooses another."""
    model, x = Mixture.example(), torch.zeros(2, 2, dtype=torch.float64)
    parts = {"weights": model.weights, "means": model.means, "covariances": model.covariances}
    denoiser = Mixture(Gaussian(schedule=Rectified()), **parts)
    grid = torch.linspace(1, 0, 4, dtype=torch.float64)
    with pytest.raises(UnsupportedError, match="infinite where the grid starts"):
        method(variable="sigma").sample(denoiser, x, grid)
    assert bool(method().sample(denoiser, x, grid).isfinite().all())
    steep = Mixture(Gaussian(schedule=Sigmoid()), **parts)
    with pytest.raises(UnsupportedError, match="has infinite slope where the grid starts"):
        method(variable="t").sample(steep, x, grid)
    assert bool(method(variable="angle").sample(steep, x, grid).isfinite().all())
