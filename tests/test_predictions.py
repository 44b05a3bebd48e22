"""The table of predictions: every target against its definition, every way between them, and EDM's preconditioning."""

import itertools
import math
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.denoisers.preconditioning import noise_level, scale_in
from pellucid.denoisers.prediction import Prediction, check_prediction, combination, convert, skip_and_out
from pellucid.denoisers.regression import Regression
from pellucid.networks import networks
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.schedules.additive import Additive
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule
from pellucid.schedules.shifted import Shifted
from pellucid.schedules.table import Table

PREDICTIONS: tuple[Prediction, ...] = get_args(Prediction)
SCHEDULES: dict[str, Schedule] = {
    **{name: schedules[name].example() for name in schedules},
    "additive-noising": Additive(steps=10, direction="noising", continuous=True),
    "shifted-linear": Shifted(base=Linear(), shift=0.5),
    "shifted-edm": Shifted(base=EDM(), shift=2.0),
    "table-ddpm": Table.from_betas(),
}
SIGMA_DATA = 0.7

every_schedule = pytest.mark.parametrize("schedule", [pytest.param(value, id=key) for key, value in SCHEDULES.items()])
every_prediction = pytest.mark.parametrize("prediction", PREDICTIONS)


def number(value: float) -> Tensor:
    return torch.tensor([value], dtype=torch.float64)


def inner(n: int = 97) -> Tensor:
    """Times strictly inside, as a column."""
    return torch.linspace(0.02, 0.98, n, dtype=torch.float64)[:, None]


def known(t: Tensor, dim: int = 3, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Clean data and noise for each time."""
    generator = torch.Generator().manual_seed(seed)
    x0, eps = torch.randn(2, len(t), dim, generator=generator, dtype=torch.float64)
    return x0, eps


def targets(schedule: Schedule, t: Tensor, x0: Tensor, eps: Tensor, sigma_data: float = SIGMA_DATA) -> dict[str, Tensor]:
    """What each prediction is, by its definition: derivatives by autograd, "edm" by Karras et al. 2022, eq. 8."""
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x_t = alpha * x0 + sigma * eps
    moving = t.clone().requires_grad_()
    ones = torch.ones_like(x_t).requires_grad_()  # differentiating the pullback gives d x_t / dt of every coordinate
    pullback, = torch.autograd.grad(schedule.alpha(moving) * x0 + schedule.sigma(moving) * eps + 0 * moving, moving, ones,
                                    create_graph=True)
    velocity, = torch.autograd.grad(pullback.sum(), ones)
    point = x_t.clone().requires_grad_()
    score, = torch.autograd.grad(torch.distributions.Normal(alpha * x0, sigma).log_prob(point).sum(), point)
    y, u = x_t / alpha, sigma / alpha
    c_skip, c_out = sigma_data**2 / (u**2 + sigma_data**2), u * sigma_data / (u**2 + sigma_data**2).sqrt()
    return {
        "x0": x0, "eps": eps, "score": score, "velocity": velocity, "v": alpha * eps - sigma * x0,
        "edm": (x0 - c_skip * y) / c_out,
    }


class Given(nn.Module):
    """A network with one answer, which keeps what it was asked."""

    def __init__(self, answer: Tensor | float = 0.0) -> None:
        super().__init__()
        self.answer, self.asked = answer, (torch.empty(0), torch.empty(0))

    def forward(self, x: Tensor, c_noise: Tensor, *_conditions: Tensor | None) -> Tensor:
        self.asked = x, c_noise
        return torch.zeros_like(x) + self.answer


def regression(network: Any, schedule: Schedule, **settings: Any) -> Regression:
    return Regression(process=Gaussian(schedule=schedule), network=network, **settings)


# --- conversions


@every_schedule
def test_every_prediction_becomes_every_other_by_its_definition(schedule: Schedule) -> None:
    """From the true value of one prediction, each of the others comes out as its own definition says: all pairs."""
    t = inner()
    x0, eps = known(t)
    truth, x_t = targets(schedule, t, x0, eps), schedule.alpha(t) * x0 + schedule.sigma(t) * eps
    assert set(truth) == set(PREDICTIONS)
    for source, target in itertools.product(PREDICTIONS, repeat=2):
        found = convert(truth[source], source, target, x_t, schedule, t, SIGMA_DATA)
        torch.testing.assert_close(found, truth[target], rtol=1e-8, atol=1e-8, msg=lambda m, p=(source, target): f"{p}: {m}")


@every_schedule
def test_there_and_back_is_where_it_started(schedule: Schedule) -> None:
    """A value of no meaning at all returns from every other kind as it was: conversions are inverse to each other."""
    t = inner()
    value, x_t = known(t, seed=1)
    for source, target in itertools.product(PREDICTIONS, repeat=2):
        for sigma_data in (0.2, 3.0):
            there = convert(value, source, target, x_t, schedule, t, sigma_data)
            back = convert(there, target, source, x_t, schedule, t, sigma_data)
            scale = 1 + (there.abs() + x_t.abs()).amax()
            assert float((back - value).abs().max() / scale) < 1e-9, (source, target)


@every_schedule
@every_prediction
def test_coefficients_solve_the_two_equations(schedule: Schedule, prediction: Prediction) -> None:
    """(a, b) are the target's values at (x0, eps) = (1, 0) and (0, 1), and (c_skip, c_out) solve for x0 from (x_t, F)."""
    t = inner()
    one, zero = torch.ones_like(t), torch.zeros_like(t)
    a, b = (targets(schedule, t, *pair)[prediction] for pair in ((one, zero), (zero, one)))
    for found, value in zip(combination(prediction, schedule, t, SIGMA_DATA), (a, b), strict=True):
        torch.testing.assert_close(found, value, rtol=1e-9, atol=1e-9)
    rows = torch.stack([torch.cat([schedule.alpha(t), a], 1), torch.cat([schedule.sigma(t), b], 1)], 1)
    solved = torch.linalg.solve(rows, torch.tensor([1.0, 0.0], dtype=torch.float64).expand(len(t), 2))
    c_skip, c_out = skip_and_out(prediction, schedule, t, SIGMA_DATA)
    torch.testing.assert_close(torch.cat([c_skip, c_out], 1), solved, rtol=1e-7, atol=1e-9)


def test_v_is_the_derivative_along_the_angle() -> None:
    """Salimans and Ho 2022, section 4: with alpha = cos φ and sigma = sin φ, v is d x_t / dφ; cosine has φ = π t / 2."""
    schedule, t = Cosine(offset=0.0), inner()
    truth = targets(schedule, t, *known(t))
    torch.testing.assert_close(truth["velocity"] / (math.pi / 2), truth["v"])


def test_velocity_of_straight_lines_is_noise_less_data() -> None:
    """Liu et al. 2022, eq. 1: along a straight line the velocity is eps - x0 at every time, whatever is predicted."""
    t = inner()
    x0, eps = known(t)
    x_t = (1 - t) * x0 + t * eps
    for source, value in targets(Rectified(), t, x0, eps).items():
        torch.testing.assert_close(convert(value, source, "velocity", x_t, Rectified(), t, SIGMA_DATA), eps - x0)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(4, 1, 1, 1), (4, 1, 3, 1), (4, 1, 3, 5), (1, 1, 1, 1), ()], ids=str)
def test_times_broadcast(shape: tuple[int, ...]) -> None:
    """One time per sample, frame or token gives what each position would give alone; values keep their dtype."""
    generator = torch.Generator().manual_seed(0)
    value, x_t = torch.randn(2, 4, 2, 3, 5, generator=generator, dtype=torch.float64)
    t = 0.05 + 0.9 * torch.rand(shape, generator=generator, dtype=torch.float64)
    together = convert(value, "v", "eps", x_t, Linear(), t)
    full = t.expand(4, 2, 3, 5)
    for at in itertools.product(range(4), range(2), range(3), range(5)):
        alone = convert(value[at].reshape(1), "v", "eps", x_t[at].reshape(1), Linear(), full[at].reshape(1))
        torch.testing.assert_close(together[at].reshape(1), alone, rtol=1e-12, atol=1e-12)
    assert convert(value.float(), "v", "eps", x_t.float(), Linear(), t).dtype == torch.float32


# --- the ends


@every_schedule
@every_prediction
def test_end_of_noise_is_exact_or_refused_by_name(schedule: Schedule, prediction: Prediction) -> None:
    """At t = 1 a prediction either gives back the clean data exactly, or a model of it is refused, naming what and why."""
    a, b = combination(prediction, schedule, number(1), SIGMA_DATA)
    if schedule.zero_terminal_snr and not (a.isfinite().all() and a.abs() > 1e-12):  # x_1 is noise, and F tells no data
        with pytest.raises(ConfigError) as error:
            regression(Given(), schedule, prediction=prediction)
        assert f"prediction = '{prediction}'" in str(error.value)
        assert f"schedule {type(schedule).__name__}" in str(error.value)
        assert "use 'v', 'x0' or 'edm'" in str(error.value)
        return
    x0, eps = torch.tensor([[0.3, -2.0]], dtype=torch.float64), torch.tensor([[1.5, 0.4]], dtype=torch.float64)
    x_1 = schedule.alpha(number(1)) * x0 + schedule.sigma(number(1)) * eps
    denoiser = regression(Given(a * x0 + b * eps), schedule, prediction=prediction, sigma_data=SIGMA_DATA)
    torch.testing.assert_close(denoiser(x_1, number(1)).mean, x0, rtol=1e-9, atol=1e-8)
    assert denoiser.network.asked[0].isfinite().all()
    assert denoiser.network.asked[1].isfinite().all()


@pytest.mark.parametrize("name", [name for name, schedule in SCHEDULES.items() if schedule.zero_terminal_snr])
def test_zero_terminal_snr_refuses_the_noise_and_takes_its_alternatives(name: str) -> None:
    """The published remedy holds: without signal at the end, eps and score say nothing of the data; v, x0 and edm do."""
    for prediction in ("eps", "score"):
        with pytest.raises(ConfigError, match="zero terminal SNR"):
            check_prediction(prediction, SCHEDULES[name])
    for prediction in ("v", "x0", "edm"):
        check_prediction(prediction, SCHEDULES[name])


STARTS = [
    pytest.param(prediction, schedule, id=f"{prediction}-{name}")
    for prediction in PREDICTIONS for name, schedule in SCHEDULES.items()
    if all(bool(part.isfinite().all()) for part in combination(prediction, schedule, number(0)))
]


@pytest.mark.parametrize(("prediction", "schedule"), STARTS)
def test_clean_end_is_the_input_itself(prediction: Prediction, schedule: Schedule) -> None:
    """At t = 0 the data is there, so from its true value every prediction that is finite gives exactly the input."""
    a, b = combination(prediction, schedule, number(0), SIGMA_DATA)
    x0, eps = number(-1.3), number(0.8)
    denoiser = regression(Given(a * x0 + b * eps), schedule, prediction="v", sigma_data=SIGMA_DATA)
    denoiser.prediction = prediction  # the start is asked about here, whatever is refused at the end
    assert denoiser(x0[None], number(0)).mean.tolist() == [[-1.3]]


# --- preconditioning


DESIGN = torch.tensor([[SIGMA_DATA, 1.0], [SIGMA_DATA, -1.0], [-SIGMA_DATA, 1.0], [-SIGMA_DATA, -1.0]], dtype=torch.float64)
"""Four equally likely (x0, eps) with exactly the first two moments of data of standard deviation SIGMA_DATA and of noise."""


@every_schedule
def test_edm_presents_unit_variance_and_asks_for_it(schedule: Schedule) -> None:
    """The network's input and its target have variance 1 at every level, and the target is uncorrelated with the input."""
    t = inner()
    x0, eps = DESIGN[:, 0], DESIGN[:, 1]
    x_t = schedule.alpha(t) * x0 + schedule.sigma(t) * eps
    asked = scale_in("edm", schedule, t, SIGMA_DATA) * x_t
    wanted = convert(x0.expand_as(x_t), "x0", "edm", x_t, schedule, t, SIGMA_DATA)
    ones = torch.ones(len(t), dtype=torch.float64)
    torch.testing.assert_close((asked**2).mean(1), ones, rtol=1e-12, atol=0)
    torch.testing.assert_close((wanted**2).mean(1), ones, rtol=1e-8, atol=0)
    torch.testing.assert_close((asked * wanted).mean(1), 0 * ones, rtol=0, atol=1e-8)


def test_edm_equals_the_published_coefficients() -> None:
    """Karras et al. 2022, table 1: c_skip, c_out, c_in and c_noise as functions of sigma, where alpha = 1."""
    schedule, s = EDM(), SIGMA_DATA
    sigma = torch.logspace(-2, math.log10(80), 50, dtype=torch.float64)
    t = sigma / 80
    c_skip, c_out = skip_and_out("edm", schedule, t, s)
    torch.testing.assert_close(c_skip, s**2 / (sigma**2 + s**2))
    torch.testing.assert_close(c_out, sigma * s / torch.sqrt(s**2 + sigma**2))
    torch.testing.assert_close(scale_in("edm", schedule, t, s), 1 / torch.sqrt(sigma**2 + s**2))
    torch.testing.assert_close(noise_level("edm", schedule, t), torch.log(sigma) / 4)


@every_schedule
def test_a_silent_network_gives_the_best_linear_guess(schedule: Schedule) -> None:
    """With F = 0, "edm" returns c_skip x_t, for Gaussian data the exact posterior mean, found here by least squares."""
    t = inner()
    x0 = DESIGN[:, :1]
    x_t = schedule.alpha(t) * x0.T + schedule.sigma(t) * DESIGN[:, 1]
    best = (x_t * x0.T).mean(1) / (x_t**2).mean(1)  # least squares of x0 on x_t
    denoiser = regression(Given(), schedule, prediction="edm", sigma_data=SIGMA_DATA)
    found = denoiser(x_t, t[:, 0]).mean
    torch.testing.assert_close(found, best[:, None] * x_t, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", list(networks))
def test_every_network_is_silent_at_first(name: str) -> None:
    """A fresh network is zero, so a fresh model is already the best linear denoiser."""
    network, shape = networks[name].example()
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    sigma = torch.full((len(x),), 0.5, dtype=torch.float64)
    found = regression(network, EDM(), sigma_data=0.5)(x, sigma / 80).mean
    torch.testing.assert_close(found, x / 2)  # as much noise as data: half of what is seen


@every_schedule
@every_prediction
def test_the_right_answer_gives_the_clean_data(schedule: Schedule, prediction: Prediction) -> None:
    """A network that answers the target exactly makes the denoiser return x0, and `predict` is that answer."""
    t = inner(33)
    x0, eps = known(t)
    truth = targets(schedule, t, x0, eps)[prediction]
    denoiser = regression(Given(truth), schedule, prediction="v", sigma_data=SIGMA_DATA)
    denoiser.prediction = prediction  # refused at t = 1 under some schedules, fine inside
    x_t = schedule.alpha(t) * x0 + schedule.sigma(t) * eps
    torch.testing.assert_close(denoiser(x_t, t[:, 0]).mean, x0, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(denoiser.predict(x_t, t[:, 0]), truth, rtol=0, atol=0)


@every_schedule
def test_noise_level_rises_and_stays_of_order_one(schedule: Schedule) -> None:
    """What tells the network its level is finite at both ends, within [-3, 3], and rises where the level is not extreme."""
    t = torch.cat([number(0), inner()[:, 0], number(1)])
    level = noise_level("edm", schedule, t)
    assert level.isfinite().all()
    assert level.min() >= -3
    assert level.max() <= math.log(200) / 4  # told no further than that, where training hardly comes
    assert (level[1:-1].diff() > 0).all()
    assert level[0] <= level[1]
    assert level[-2] <= level[-1]


@every_schedule
def test_edm_is_what_the_network_sees(schedule: Schedule) -> None:
    """A model hands its network the input of unit variance and the level -log SNR / 8, one for each sample."""
    t = inner(9)
    x_t = schedule.alpha(t) * DESIGN[:, 0] + schedule.sigma(t) * DESIGN[:, 1]
    denoiser = regression(Given(), schedule, sigma_data=SIGMA_DATA)
    denoiser.predict(x_t, t[:, 0])
    x, c_noise = denoiser.network.asked
    torch.testing.assert_close((x**2).mean(1), torch.ones(9, dtype=torch.float64), rtol=1e-12, atol=0)
    torch.testing.assert_close(c_noise, (schedule.sigma(t) / schedule.alpha(t)).log()[:, 0] / 4)


def test_plain_presents_input_and_time_as_they_are() -> None:
    """"plain" neither scales the input nor maps the time."""
    t = inner(9)
    x = known(t)[0]
    denoiser = regression(Given(), Linear(), preconditioning="plain")
    denoiser.predict(x, t[:, 0])
    assert torch.equal(denoiser.network.asked[0], x)
    assert torch.equal(denoiser.network.asked[1], t[:, 0])
