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
    levels = np.rint((x.detach().float().cpu().numpy() + np.float32(1)) * np.float32(127.5))
    return np.asarray(np.clip(levels, 0, 255), dtype=np.uint8)
