"""Words about shapes that every room uses.

A batch of data is (B, C, *space): B samples, C channels, and as many spatial axes as the data has: one for sound and
series, two for pictures, three for video and volumes.
"""

from torch import Tensor


def expand(value: Tensor, like: Tensor) -> Tensor:
    """`value` of shape (B,) made broadcastable to `like` (B, C, *space); one that has as many axes already is kept."""
    return value if value.ndim in (0, like.ndim) else value.reshape(value.shape + (1,) * (like.ndim - value.ndim))


def mean_per_sample(x: Tensor) -> Tensor:
    """Mean over all axes but the first: (B, ...) -> (B,)."""
    return x.flatten(1).mean(1)
