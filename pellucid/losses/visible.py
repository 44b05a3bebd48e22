"""What a noisy sample shows of the data, at the scale that networks are made for."""

import torch
from torch import Tensor

from pellucid.core.shapes import expand
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.preconditioning import scale_in


def visible(denoiser: Parametric, x_t: Tensor, t: Tensor) -> Tensor:
    """min(alpha_t, 1) c_in x_t: of variance 1 or less, and nothing where x_t is noise alone."""
    schedule, t = denoiser.process.schedule, expand(torch.as_tensor(t, dtype=torch.float64), x_t)
    scale = schedule.alpha(t).clamp(max=1) * scale_in("edm", schedule, t, denoiser.sigma_data)
    return scale.to(x_t) * x_t
