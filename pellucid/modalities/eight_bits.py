"""Bytes and the model's range: 0 is -1, 255 is 1."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def from_bytes(stored: Tensor | NDArray[Any]) -> Tensor:
    """[0, 255] to [-1, 1], float32."""
    x = stored.float() if isinstance(stored, Tensor) else torch.from_numpy(stored.astype(np.float32))
    return x / 127.5 - 1


def to_bytes(x: Tensor) -> NDArray[np.uint8]:
    """[-1, 1] to the nearest byte, half to even; what lies beyond is black or white."""
    levels = ((x.detach().float() + 1) * 127.5).round().clamp(0, 255)
    return np.asarray(levels.to(torch.uint8).cpu().numpy())
