"""What a network predicts, and every way from one prediction to another.

Each prediction is a linear combination F = a x0 + b eps. With x_t = alpha x0 + sigma eps that is two equations, so

    x0  = (b x_t - sigma F) / d,     eps = (alpha F - a x_t) / d,     d = alpha b - sigma a

and one table of (a, b) gives all conversions:

    x0        (1, 0)
    eps       (0, 1)
    score     (0, -1 / sigma)                the gradient of log p(x_t), by Tweedie's formula -E[eps] / sigma
    velocity  (d_alpha, d_sigma)             d x_t / dt. Lipman et al. 2023, eq. 15
    v         (-sigma, alpha)                Salimans and Ho 2022, section 4 (never called velocity)
    edm       (sigma / sigma_data, -alpha sigma_data) / sqrt(alpha^2 sigma_data^2 + sigma^2)

The last is the unit-variance target whose c_skip and c_out are those of Karras et al. 2022, table 1, for any alpha. Of data
that is on another scale than a network should work on, x0 is (1 / scale, 0).
"""

from typing import Literal

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.schedules.schedule import Schedule

Prediction = Literal["x0", "eps", "score", "velocity", "v", "edm"]


def combination(
    prediction: Prediction, schedule: Schedule, t: Tensor, sigma_data: float | Tensor = 1.0, scale: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """(a, b) with F = a x0 + b eps, float64, in the shape of t; of places on scales of their own, for which sigma_data and
    scale are tensors, in the shape of these together.
    """
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    zero, one = torch.zeros_like(alpha), torch.ones_like(alpha)
    match prediction:
        case "x0":
            return one / scale, zero
        case "eps":
            return zero, one
        case "score":
            return zero, -1 / sigma
        case "velocity":
            return schedule.d_alpha(t), schedule.d_sigma(t)
        case "v":
            return -sigma, alpha
        case "edm":
            size = torch.hypot(alpha * sigma_data, sigma)
            return sigma / (sigma_data * size), -alpha * sigma_data / size


def skip_and_out(
    prediction: Prediction, schedule: Schedule, t: Tensor, sigma_data: float | Tensor = 1.0, scale: float | Tensor = 1.0
) -> tuple[Tensor, Tensor]:
    """(c_skip, c_out) with x0 = c_skip x_t + c_out F."""
    a, b = combination(prediction, schedule, t, sigma_data, scale)
    if prediction == "x0":  # at sigma = 0 too, where the general form is 0 / 0
        return b, 1 / a
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    d = alpha * b - sigma * a
    return b / d, -sigma / d


def convert(
    value: Tensor,
    source: Prediction,
    target: Prediction,
    x_t: Tensor,
    schedule: Schedule,
    t: Tensor,
    sigma_data: float = 1.0,
) -> Tensor:
    """`value`, a prediction of kind `source` at (x_t, t), as one of kind `target`; t broadcasts against x_t."""
    (a, b), (to_a, to_b) = (combination(kind, schedule, t, sigma_data) for kind in (source, target))
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    d = alpha * b - sigma * a
    x_factor, value_factor = (to_a * b - to_b * a) / d, (to_b * alpha - to_a * sigma) / d
    return x_factor.to(x_t) * x_t + value_factor.to(x_t) * value


def check_prediction(prediction: Prediction, schedule: Schedule) -> None:
    """Refuse a prediction that says nothing about x0 at t = 1: eps or score when no signal is left there."""
    c_skip, c_out = skip_and_out(prediction, schedule, torch.ones(1, dtype=torch.float64))
    if not (c_skip.isfinite().all() and c_out.isfinite().all() and (c_out != 0).all()):
        name = type(schedule).__name__
        raise ConfigError(
            f"prediction = '{prediction}' cannot give x0 at t = 1 under schedule {name}, which has zero terminal SNR or an "
            "infinite slope there: use 'v', 'x0' or 'edm'"
        )
