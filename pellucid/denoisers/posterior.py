"""What a denoiser returns: p(x0 | x_t), as far as that denoiser knows it."""

from torch import Tensor

from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Draws

NEVER = -1e9
"""The logarithm of no probability, as a number that can be reckoned with."""


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
        """Log-probabilities over the categories of each token, (B, C, *space, K)."""
        raise UnsupportedError(f"{type(self).__name__} has no logits")


class Mean(Posterior):
    """A posterior of which only the mean is known."""

    def __init__(self, mean: Tensor) -> None:
        self._mean = mean

    @property
    def mean(self) -> Tensor:
        return self._mean


class Categories(Posterior):
    """Distributions over the categories of each token; of how tokens hang together nothing is known.

    Arguments:
        logits: log-probabilities (B, C, *space, K).
    """

    def __init__(self, logits: Tensor) -> None:
        self._logits = logits

    @property
    def logits(self) -> Tensor:
        return self._logits

    def at(self, where: Tensor) -> Tensor:
        """Log-probabilities (N, K) of those tokens alone where `where` (B, C, *space) is true."""
        return self.logits[where]


def choose(u: Tensor, probabilities: Tensor) -> Tensor:
    """The index that one uniform number of u (...) draws from each row of `probabilities` (..., K), shape (...).

    In float64 u has 52 bits, so that no category is left out that has any probability to speak of; in float32, as with
    Gumbel noise in it, rare ones would be, as if at a lower temperature (Zheng et al. 2025, section 4).
    """
    below = probabilities.cumsum(-1)
    return (u.unsqueeze(-1).to(below) * below[..., -1:] > below[..., :-1]).sum(-1)


def time_per_sample(t: Tensor, count: int) -> Tensor:
    """`t`, one for all or one for each of `count` samples, as (1, 1) or (count, 1).

    Raises:
        UnsupportedError: another number of times: closed forms are known for one noise level per sample only.
    """
    if t.numel() not in (1, count) or (t.ndim > 1 and t.numel() != len(t)):
        raise UnsupportedError(f"Times of shape {tuple(t.shape)} came for {count} samples, expected one each or one for all")
    return t.reshape(-1, 1)
