"""What a network that judges or infers is shown beside a sample: what x_t shows of the data, noise level, conditions."""

import torch
from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.preconditioning import noise_level, scale_in


def visible(denoiser: Parametric, x_t: Tensor, t: Tensor) -> Tensor:
    """What x_t shows of the data: min(alpha_t, 1) c_in x_t, of variance 1 or less, and nothing where x_t is noise alone."""
    schedule, t = denoiser.process.schedule, expand(torch.as_tensor(t, dtype=torch.float64), x_t)
    scale = schedule.alpha(t).clamp(max=1) * scale_in("edm", schedule, t, denoiser.sigma_data)
    return scale.to(x_t) * x_t


def level_picture(denoiser: Parametric, x_t: Tensor, t: Tensor) -> Tensor:
    """The noise level in every place, (B, 1, *space)."""
    return expand(noise_level("edm", denoiser.process.schedule, t), x_t).to(x_t).expand_as(x_t[:, :1])


def asked_for(denoiser: Parametric, cond: Cond | None, count: int) -> Tensor | None:
    """The sum of the conditions' vectors, which are the denoiser's to learn; None where there are none."""
    vectors = [one.vector.detach() for one in denoiser.embedded(cond, count).values() if one.vector is not None]
    return torch.stack(vectors).sum(0) if vectors else None
