"""What the blocks of a denoiser make of samples: a distance between these is nearer to the eye than one of values."""

from typing import Any

from torch import Tensor

from pellucid.denoisers.parametric import Parametric
from pellucid.networks.modulated import Blocks


def responses(denoiser: Parametric, x0: Tensor, t: Tensor, eps: Tensor) -> list[Tensor]:
    """The outputs of all rows of blocks, (B, *grid, width) each, when the denoiser is shown x0 (B, C, *space) with noise
    eps at times t (B,), asked for nothing.
    """
    found: list[Tensor] = []

    def keep(_block: Any, _given: Any, output: Tensor) -> None:
        found.append(output)

    hooks = [part.register_forward_hook(keep) for part in denoiser.network.modules() if isinstance(part, Blocks)]
    try:
        denoiser.clean(denoiser.process.corrupt(x0, t, eps), t)
    finally:
        for hook in hooks:
            hook.remove()
    return [output.float() for output in found]
