"""Processes of tokens, each one of K categories: with probability 1 - alpha_t a token is no longer what it was.

    q(x_t | x0) = alpha_t δ(x_t - x0) + (1 - alpha_t) π(x_t),    each token by itself

where π is what a process leaves of any token. Samples x are whole numbers (B, 1, *space), int64; distributions over the
categories of each have one more axis at the end. Austin et al. 2021 (D3PM); in continuous time Campbell et al. 2022.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.core.random import Draws
from pellucid.core.shapes import expand
from pellucid.processes.process import Process
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule

TINY = 1e-300  # what alpha is divided by where it is 0


@dataclass(frozen=True, kw_only=True)
class Discrete(Process):
    """Corruption of tokens along a schedule, of which alpha alone counts.

    Arguments:
        schedule: alpha_t is the probability that nothing has happened to a token; it must end at 0.
        categories: K; clean tokens are 0 .. K - 1.
    """

    schedule: Schedule = field(default_factory=Rectified)
    categories: int

    def __post_init__(self) -> None:
        if not self.schedule.zero_terminal_snr:
            name = type(self.schedule).__name__
            raise ConfigError(f"Schedule {name} leaves some tokens as they were at t = 1: expected one that ends at "
                              "alpha = 0, such as rectified")  # fmt: skip
        if self.categories < 2:
            raise ConfigError(f"categories = {self.categories}: expected 2 or more")

    @property
    @abstractmethod
    def states(self) -> int:
        """How many values x_t may have; those from K on are none of the data's."""

    @property
    @abstractmethod
    def absorbing(self) -> bool:
        """Whether x_t itself shows which tokens are still clean; a denoiser then need not be told the time."""

    def noise(self, draws: Draws, purpose: str, step: int, shape: Sequence[int], t: Tensor) -> Tensor:  # noqa: ARG002
        """eps uniform on (0, 1), which decides whether a token is kept, and what becomes of it."""
        return draws.uniform(purpose, step, shape)

    @abstractmethod
    def log_probability(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        """log q(x_t | x0) of each token, float64."""

    @abstractmethod
    def reverse(self, x_t: Tensor, p: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The distribution of each x_s given x_t, s < t, when p(x0 | x_t) = p: the mean over it of q(x_s | x_t, x0).

        Arguments:
            p: (B, 1, *space, K).

        Returns:
            (B, 1, *space, states), float64.
        """

    @abstractmethod
    def unsettled(self, x_t: Tensor, t: Tensor) -> Tensor:
        """Whether x_t leaves open what x0 is, token by token."""

    @abstractmethod
    def rate(self, x0: Tensor, x_t: Tensor, log_p: Tensor, t: Tensor) -> Tensor:
        """Of each token, by how many nats per unit of t the model that expects x0 with log-probabilities `log_p`
        (B, 1, *space, K) falls short of q(x_s | x_t, x0). In continuous time

            -log p(x0) <= ∫_0^1 E_{x_t} sum of rates dt

        with equality for the exact denoiser. 0 of tokens that are settled. Tokens may also be a list: (N,), log_p (N, K).
        """

    def keep(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(alpha_t, d alpha_t / dt), broadcastable to `like` and on its device, in float64."""
        t = expand(torch.as_tensor(t, dtype=torch.float64), like)
        return self.schedule.alpha(t).to(like.device), self.schedule.d_alpha(t).to(like.device)
