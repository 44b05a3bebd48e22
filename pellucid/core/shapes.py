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


def rows_of(x: Tensor, t: Tensor) -> Tensor:
    """The values of x (B, C, *space) that share a time in t, (B,) or broadcastable to x, as rows (times, values)."""
    own = [axis for axis in range(1, t.ndim) if t.shape[axis] > 1]
    return x.movedim(own, list(range(1, len(own) + 1))).flatten(0, len(own)).flatten(1)
