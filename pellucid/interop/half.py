"""Which 16 bits a device computes in."""

import torch

from pellucid.core.errors import UnsupportedError
from pellucid.core.precision import has_bfloat16


def half_precision(device: str) -> torch.dtype:
    """float16 on graphics cards, for which pretrained models are published in it; bfloat16 on a CPU that has it.

    Raises:
        UnsupportedError: the device has neither, so that halves would only be slower.
    """
    if torch.device(device).type != "cpu":
        return torch.float16
    if has_bfloat16(device):
        return torch.bfloat16
    raise UnsupportedError("This CPU computes nothing faster in 16 bits: leave --half out")
