"""Uniform tokens: one that is lost becomes any, all alike. Hoogeboom et al. 2021 (multinomial diffusion), eq. 11."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from pellucid.processes.discrete import TINY, Discrete


@dataclass(frozen=True, kw_only=True)
class UniformTokens(Discrete):
    """x_t = x0 with probability alpha_t, else any of the K categories, all alike.

    No token is ever settled, so what was chosen wrongly can change again. With a = alpha_t + (1 - alpha_t) / K and
    b = (1 - alpha_t) / K, q(x_t | x0) is a where they are equal and b elsewhere.
    """

    @classmethod
    def example(cls) -> Self:
        return cls(categories=3)

    @property
    def states(self) -> int:
        return self.categories

    @property
    def absorbing(self) -> bool:
        return False

    def corrupt(self, x0: Tensor, t: Tensor, eps: Tensor) -> Tensor:
        """Below 1 - alpha_t, eps / (1 - alpha_t) is uniform once more, and says which."""
        alpha_t, _ = self.keep(t, x0)
        eps = eps.to(x0.device)
        return torch.where(eps < 1 - alpha_t, self._any(eps / (1 - alpha_t)), x0)

    def prior(self, eps: Tensor, *, mean: float = 0.0, std: float = 0.0) -> Tensor:  # noqa: ARG002
        return self._any(eps)

    def log_probability(self, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
        same, other = self._chances(t, x_t)
        return torch.where(x_t == x0, same, other).log()

    def reverse(self, x_t: Tensor, p: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """q(x_t | x_s) (alpha_s p(x_s) / q(x_t | x0 = x_s) + (1 - alpha_s) / K sum_z p(z) / q(x_t | x0 = z)), which Bayes'
        theorem gives of each x0 = z.
        """
        (alpha_t, _), (alpha_s, _) = self.keep(t, x_t), self.keep(s, x_t)
        same, other = (chance.unsqueeze(-1) for chance in self._chances(t, x_t))
        here = one_hot(x_t, self.categories).bool()
        step, count, p = (alpha_t / alpha_s).unsqueeze(-1), self.categories, p.double()
        came = torch.where(here, step + (1 - step) / count, (1 - step) / count)  # q(x_t | x_s)
        likely = p / torch.where(here, same, other)
        alpha_s = alpha_s.unsqueeze(-1)
        return came * (alpha_s * likely + (1 - alpha_s) / count * likely.sum(-1, keepdim=True))

    def unsettled(self, x_t: Tensor, t: Tensor) -> Tensor:
        return (self.keep(t, x_t)[0] < 1).expand(x_t.shape)

    def rate(self, x0: Tensor, x_t: Tensor, log_p: Tensor, t: Tensor) -> Tensor:
        """With w(y) = q_t(y | x0) / q_t(x_t | x0) and its mean v(y) over p(x0 | x_t),

            -d alpha / dt / (alpha K) sum over y != x_t of  v - w + w log(w / v)

        the divergence between the jumps of the two reverse processes (Campbell et al. 2022, eq. 7, for this process).
        """
        log_p, (alpha_t, d_alpha_t) = log_p.double(), self.keep(t, x0)
        noisy = (alpha_t > 0) & (alpha_t < 1)
        same, other = self._chances(t, x0)
        up = torch.where(noisy, same / other, 1.0).unsqueeze(-1)
        here, clean, p = one_hot(x_t, self.categories).bool(), one_hot(x0, self.categories).bool(), log_p.exp()
        model = 1 + (p * here).sum(-1, keepdim=True) * (1 / up - 1) + p * (up - 1)
        lost = (x_t != x0).unsqueeze(-1)
        true = torch.where(lost, torch.where(clean, up, 1.0), 1 / up)
        beyond = (model - true) / true  # v / w - 1
        terms = torch.where(here, 0.0, true * (beyond - torch.log1p(beyond)))
        weight = torch.where(noisy, -d_alpha_t / alpha_t.clamp(min=TINY) / self.categories, 0.0)
        return weight * terms.sum(-1)

    def _chances(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """a and b."""
        alpha_t, _ = self.keep(t, like)
        other = (1 - alpha_t) / self.categories
        return alpha_t + other, other

    def _any(self, u: Tensor) -> Tensor:
        return (u * self.categories).long().clamp(0, self.categories - 1)
