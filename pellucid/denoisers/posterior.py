"""What a denoiser returns: p(x0 | x_t), as far as that denoiser knows it."""

from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws


class Posterior:
    """p(x0 | x_t). A subclass gives what it knows; the rest refuses by name."""

    @property
    def mean(self) -> Tensor:
        """E[x0 | x_t], (B, C, *space)."""
        raise UnsupportedError(f"{type(self).__name__} has no mean")

    def sample(self, draws: Draws, step: int) -> Tensor:  # noqa: ARG002
        """A draw from p(x0 | x_t), (B, C, *space); `step` keys the randomness."""
        raise UnsupportedError(f"{type(self).__name__} has no samples: a mean is not a sample")

    @property
    def logits(self) -> Tensor:
        """Log-probabilities over categories, (B, *space, K)."""
        raise UnsupportedError(f"{type(self).__name__} has no logits")


class Mean(Posterior):
    """A posterior of which only the mean is known."""

    def __init__(self, mean: Tensor) -> None:
        self._mean = mean

    @property
    def mean(self) -> Tensor:
        return self._mean


def choose(u: Tensor, probabilities: Tensor) -> Tensor:
    """The index that one uniform number u (B,) draws from each row of `probabilities` (B, K), shape (B,)."""
    return (u[:, None].to(probabilities) > probabilities.cumsum(1)[:, :-1]).sum(1)


def time_per_sample(t: Tensor, count: int) -> Tensor:
    """`t`, one for all or one for each of `count` samples, as (1, 1) or (count, 1).

    Raises:
        UnsupportedError: another number of times: closed forms are known for one noise level per sample only.
    """
    if t.numel() not in (1, count) or (t.ndim > 1 and t.numel() != len(t)):
        raise UnsupportedError(f"Times of shape {tuple(t.shape)} came for {count} samples, expected one each or one for all")
    return t.reshape(-1, 1)
