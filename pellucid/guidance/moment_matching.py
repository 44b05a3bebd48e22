"""Posterior guidance by moment matching. Rozet et al. 2024 (Learning Diffusion Priors from Observations), section 4.2."""

from collections.abc import Callable

import torch
from torch import Tensor

from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean
from pellucid.guidance.observation import Observation
from pellucid.processes.continuous import Continuous

SPENT = 10
"""Times the precision of numbers, what is left of a direction counts as nothing."""
FARTHEST = 200.0
"""sigma / alpha from which on the state is taken for one of this noise level: where alpha = 0 it tells of no covariance."""


class MomentMatching(Denoiser):
    """E[x0 | x_t, y] for y = A x0 + noise, with p(x0 | x_t) taken for the Gaussian of its mean D and covariance V.

        D' = D + V A^T (noise^2 I + A V A^T)^-1 (y - A D),    V = sigma_t^2 / alpha_t (∂D / ∂x_t)^T

    V is Cov[x0 | x_t] by Tweedie's second formula, so D' is exact wherever the data is Gaussian, and samples are then those
    of p(x0 | y). The inverse is applied by GMRES (Saad and Schultz 1986, algorithm 3), since the Jacobian of a network is a
    covariance nearly only: not quite symmetric, and at high noise not quite positive, of which conjugate gradients make
    outliers. Each iteration is a backward pass through the denoiser, about as dear as two calls; `calls` has forward ones.

    Arguments:
        denoiser: the one to guide, of a Gaussian process, differentiable in x_t.
        observation: what was seen, one for each sample of a batch or one for all.
        iterations: of GMRES; as many as y has values are exact.
    """

    def __init__(self, denoiser: Denoiser, observation: Observation, *, iterations: int = 3) -> None:
        super().__init__(denoiser.process)
        if not self.process.gaussian:
            raise UnsupportedError(
                f"Posterior guidance is known for Gaussian noise only, but {type(self.process).__name__} adds another kind"
            )
        if iterations < 1:
            raise ConfigError(f"iterations = {iterations} is out of range: expected a whole number from 1")
        self.denoiser, self.observation, self.iterations = denoiser, observation, iterations
        self.farthest = self.process.schedule.time_at_ratio(torch.tensor(FARTHEST))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        x_t, t = self._nearer(x_t, torch.as_tensor(t, dtype=torch.float64))
        with torch.enable_grad():
            x = x_t.detach().requires_grad_()
            mean = self.denoiser(x, t, cond).mean
            seen = self.observation.operator(mean)
        alpha, sigma = Continuous.of(self.process).scales(t, x_t)

        def spread(v: Tensor) -> Tensor:
            """V A^T v."""
            (gradient,) = torch.autograd.grad(seen, x, v, retain_graph=True)
            return sigma**2 / alpha * gradient

        y = self.observation.y.to(seen)
        y = torch.cat([y] * (len(seen) // len(y)))  # guidance may ask for several conditions in one batch
        return Mean(mean.detach() + self._gain(spread, y - seen.detach()))

    def null(self, cond: Cond) -> Cond:
        return self.denoiser.null(cond)

    def calls(self, t: float, conditional: bool = True) -> int:
        return self.denoiser.calls(t, conditional)

    def _nearer(self, x_t: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The same state in units of the farthest noise level where t is beyond it: there it is noise and no more."""
        near = torch.minimum(t, self.farthest)
        shrink = self.process.schedule.sigma(near) / self.process.schedule.sigma(t)
        return torch.where(expand(near < t, x_t), expand(shrink, x_t), 1.0).to(x_t) * x_t, near

    def _gain(self, spread: Callable[[Tensor], Tensor], residual: Tensor) -> Tensor:
        """V A^T v, with v from (noise^2 I + A V A^T) v = residual; each sample by itself.

        v is the combination of a Krylov basis that leaves least of the residual, by the small matrix H of S Q = Q' H.
        """
        operator, variance = self.observation.operator, self.observation.noise**2
        length = _norm(residual)
        basis, moved = [_over(residual, length)], []
        small = torch.zeros(len(residual), self.iterations + 1, self.iterations, dtype=torch.float64)
        for k in range(self.iterations):
            moved.append(spread(basis[k]))
            image = variance * basis[k] + operator(moved[k])
            tiny = SPENT * torch.finfo(image.dtype).eps * _norm(image)
            for row, q in enumerate(basis):
                small[:, row, k] = part = _dot(q, image)
                image = image - expand(part, q) * q
            left = _norm(image)
            small[:, k + 1, k] = left = torch.where(left > tiny, left, 0.0)
            basis.append(_over(image, left))
        shares = (torch.linalg.pinv(small)[:, :, 0] * length.to(small)[:, None]).to(residual)
        return sum((expand(shares[:, k], v) * v for k, v in enumerate(moved)), torch.zeros_like(moved[0]))


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).reshape(len(a), -1).sum(1)


def _norm(v: Tensor) -> Tensor:
    return _dot(v, v).sqrt()


def _over(v: Tensor, length: Tensor) -> Tensor:
    """v / length, and 0 where that is 0: then the solution is found already."""
    return torch.where(expand(length, v) > 0, v / expand(length, v), 0.0)
