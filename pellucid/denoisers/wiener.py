"""The best linear denoiser, known in closed form, and a network for what it leaves."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any, ClassVar

import torch
from torch import Tensor

from pellucid.conditioners.conditioner import Conditioner, Embedded
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.shapes import expand
from pellucid.denoisers.conditional import together
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.denoisers.posterior import Mean
from pellucid.denoisers.preconditioning import noise_level
from pellucid.networks.mlp import MLP
from pellucid.networks.network import Network
from pellucid.processes.process import Process

LARGEST = 1024
"""Values of a sample, whose covariance is kept."""
DEAD = 1e-9
"""Of the largest variance: directions with less are taken to be constant."""
SURE = 1e-5
"""Standard deviation of what is given, in units of that of each value."""
CLEAREST = 1e5
"""alpha / sigma at most."""
WIDTH, DEPTH = 128, 3
"""Of the network that knows the leading directions."""
STEPS, LOWEST = 30, 0.5
"""Of sampling; the last noise level but 0, in units of the smallest standard deviation of a direction."""


class Wiener(Parametric):
    """E[x0 | x_t, given] = m + P^(1/2) F, with m and P of a normal distribution that has the data's mean μ and covariance Σ.

        m = μ + Σ S (S Σ S + I)^-1 S (y - μ)     y is x_t / alpha, seen with precision S = alpha / sigma, but what is given
                                                 where something is, seen with nearly infinite precision
        P = σ² Σ (α² Σ + σ²)^-1                  what is left uncertain, were nothing given

    m is Wiener's filter; with parts given it is kriging, the best linear forecast, and so on. F is what data has beyond its
    covariance, in units in which each direction matters alike, however small its variance: what adds up to nearly a
    constant, or changes little from one step to the next, is as sharp as the rest. At its start, F = 0, the model samples a
    Gaussian process with the data's own covariance, exactly. The decomposition is EDM's (Karras et al. 2022, eq. 7) with
    matrices in the place of c_skip, c_out and c_in; the filter is Wiener 1949, chapter 3.

    The network sees (α² Σ + σ²)^(-1/2) (x_t - α μ) and, where parts may be given, Σ^(-1/2) (m - μ) and where they are. All
    roots are symmetric, so that what is near in the data is near in what the network sees.

    Of the directions with most variance, which are what a sample is about as a whole, a second network knows the coordinates
    themselves, as numbers; to the first they are spread over all positions.

    Arguments:
        shape: (C, *space), of at most 1,024 values.
        leading: how many those are, at most; 0: no second network.
        process, network, conditioners: see `Parametric`.
        sigma_data: without a meaning here; accepted as every denoiser takes it.

    Raises:
        UnsupportedError: too large a shape.
    """

    offers: frozenset[str] = frozenset({"mean"})
    fitted: ClassVar[bool] = True

    centre: Tensor
    basis: Tensor
    variances: Tensor

    def __init__(
        self, *, shape: Sequence[int], process: Process, network: Network,
        conditioners: Mapping[str, Conditioner] | None = None, sigma_data: float = 1.0, leading: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(process=process, network=network, conditioners=conditioners, sigma_data=sigma_data)
        self.shape, size = tuple(shape), prod(shape)
        if size > LARGEST:
            raise UnsupportedError(f"wiener keeps the covariance of samples of at most {LARGEST:,} values, and these have "
                                   f"{size:,}: set denoiser.name to regression, or take a smaller --size")  # fmt: skip
        if leading < 0:
            raise ConfigError(f"denoiser.leading = {leading}: expected 0 or more directions")
        self.leading = leading = min(leading, size)
        known = 2 if "given" in self.conditioners else 1
        self.main = MLP(
            in_channels=known * leading, out_channels=leading, space=(), width=WIDTH, depth=DEPTH,
            embedding_width=network.embedding_width,
        ) if leading else None  # fmt: skip
        self.register_buffer("centre", torch.zeros(size))
        self.register_buffer("basis", torch.eye(size))
        self.register_buffer("variances", torch.ones(size))

    @property
    def sampling(self) -> dict[str, Any]:
        smallest = float(self.variances[self.variances > 0].min()) ** 0.5
        return {"steps": STEPS, "grid": {"name": "log_snr", "sigma_min": LOWEST * smallest}}

    @torch.no_grad()
    def fit(self, x0: Tensor) -> None:
        """Mean and covariance from samples (N, C, *space), NaN where values are missing, of which pairs are then taken.

        Raises:
            DataError: samples that are all the same.
        """
        rows = x0.flatten(1).double()
        known = rows.isfinite().double()
        centre = rows.nan_to_num(nan=0.0).sum(0) / known.sum(0).clamp(min=1)
        away = torch.where(known > 0, rows - centre, 0)
        variances, basis = torch.linalg.eigh(away.T @ away / (known.T @ known).clamp(min=1))
        variances = torch.where(variances > DEAD * variances.max(), variances, 0)
        if not bool(variances.any()):
            raise DataError("All samples are the same: there is nothing to learn of how they differ")
        for name, value in (("centre", centre), ("basis", basis), ("variances", variances)):
            setattr(self, name, value.to(getattr(self, name)))

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Mean:
        mean, seen, roots = self.linear(x_t, t, cond)
        return Mean(mean + self.turned(self.answer(x_t, t, cond, seen), roots))

    def linear(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """m, of the shape of x_t; what the network sees; and the roots of P's eigenvalues (B, D)."""
        variances, t = self.variances.double(), self._time(t, x_t)
        alpha, sigma = (expand(scale, x_t).flatten(1).double() for scale in
                        (self.process.schedule.alpha(t), self.process.schedule.sigma(t)))  # fmt: skip
        clear = alpha**2 * variances + sigma**2
        inner = (x_t.flatten(1).double() - alpha * self.centre) @ self.basis.double()
        given = None if cond is None or "given" not in cond else cond["given"].flatten(1).double()
        if given is None or not bool(given.isfinite().any()):
            found = alpha * variances / clear.clamp(min=1e-30) * inner
        else:
            found = self._krige(x_t.flatten(1).double(), alpha, sigma, given)
        seen = [inner / clear.clamp(min=1e-30).sqrt()]
        if "given" in self.conditioners:
            seen.append(torch.where(variances > 0, found / variances.clamp(min=1e-30).sqrt(), 0))
        shown = [self._turn(one, x_t) for one in seen]
        if "given" in self.conditioners:
            there = torch.zeros_like(shown[0]) if given is None else given.isfinite().to(x_t).reshape(x_t.shape)
            shown.append(there)
        roots = (variances * sigma**2 / clear.clamp(min=1e-30)).sqrt()
        return self._turn(found, x_t, self.centre), torch.cat(shown, dim=1), roots

    def predict(self, x_t: Tensor, t: Tensor, cond: Cond | None = None, **beside: Any) -> Tensor:  # noqa: ARG002
        """F."""
        return self.answer(x_t, t, cond, self.linear(x_t, t, cond)[1])

    def answer(self, x_t: Tensor, t: Tensor, cond: Cond | None, seen: Tensor) -> Tensor:
        """F, of the shape of x_t, by what the network sees."""
        vector, tokens = self.told(cond, x_t.shape[0])
        level = noise_level(self.preconditioning, self.process.schedule, self._time(t, x_t)).to(x_t)
        output: Tensor = self.network(seen, level, vector, tokens)
        if self.main is None:
            return output
        basis = self.basis[:, -self.leading :].to(seen)
        parts = seen.chunk(3, dim=1)[:2] if "given" in self.conditioners else [seen]
        main: Tensor = self.main(torch.cat([part.flatten(1) @ basis for part in parts], dim=1), level, vector)
        return output + (main @ basis.T).reshape(x_t.shape)

    def led(self, x0: Tensor, ratio: Tensor, eps: Tensor, cond: Cond | None = None) -> tuple[Tensor, Tensor]:
        """The second network's answer and its target, (B, R, leading) each, of leading coordinates alone, noisy R times.

        Arguments:
            ratio: sigma / alpha, (B, R).
            eps: (B, R, leading).
        """
        assert self.main is not None
        basis, variances = self.basis[:, -self.leading :].to(x0), self.variances[-self.leading :].to(x0)
        ratio = ratio[..., None].to(x0)
        clean = ((x0.flatten(1) - self.centre.to(x0)) @ basis)[:, None]
        noisy, clear = clean + ratio * eps.to(x0), variances + ratio**2
        found = variances / clear * noisy
        seen = [noisy / clear.sqrt(), *([found / variances.clamp(min=1e-30).sqrt()] if "given" in self.conditioners else [])]
        vector, _ = self.told(cond, len(x0))
        answer = self.main(
            torch.cat(seen, dim=-1).flatten(0, 1), ratio.flatten().log() / 4,
            None if vector is None else vector.repeat_interleave(ratio.shape[1], 0),
        )  # fmt: skip
        target = (clean - found) / (variances * ratio**2 / clear).clamp(min=1e-30).sqrt()
        return answer.reshape(noisy.shape), torch.where(variances > 0, target, 0)

    def told(self, cond: Cond | None, count: int) -> tuple[Tensor | None, Tensor | None]:
        """The vector and the tokens of all conditions."""
        said = together(self.embedded(cond, count))
        return said.vector, said.tokens

    def embedded(self, cond: Cond | None, count: int) -> dict[str, Embedded]:
        """Of all conditions but what is given, which the network sees through m."""
        found = super().embedded(cond, count)
        return {name: one for name, one in found.items() if name != "given"}

    def turned(self, answer: Tensor, roots: Tensor) -> Tensor:
        """P^(1/2) F."""
        inner = answer.flatten(1).double() @ self.basis.double()
        return self._turn(roots * inner, answer)

    def target(self, x0: Tensor, mean: Tensor, roots: Tensor) -> Tensor:
        """P^(-1/2) (x0 - m): what F is to be; 0 in directions without variance."""
        inner = (x0 - mean).flatten(1).double() @ self.basis.double()
        return self._turn(torch.where(roots > 0, inner / roots.clamp(min=1e-30), 0), x0)

    def completed(self, x0: Tensor, noise: Tensor) -> Tensor:
        """x0 with what is missing drawn from the normal distribution given the rest, from standard normal noise of its
        shape.

        A draw of everything is corrected by what kriging says of its error where values are known (Matheron's rule, Journel
        and Huijbregts 1978, section VII.A).
        """
        drawn = noise.flatten(1).double() * self.variances.double().sqrt() @ self.basis.double().T
        rows = x0.flatten(1).double()
        error = rows - drawn - self.centre
        nothing = torch.zeros(len(rows), 1, dtype=torch.float64, device=rows.device)
        correction = self._krige(torch.zeros_like(rows), nothing, nothing + 1, error + self.centre) @ self.basis.double().T
        whole = (self.centre + drawn + correction).to(x0).reshape(x0.shape)
        return torch.where(x0.isnan(), whole, x0)

    def _krige(self, x_t: Tensor, alpha: Tensor, sigma: Tensor, given: Tensor) -> Tensor:
        """V^T (m - μ), (B, D), with parts given: NaN where they are not."""
        basis, variances = self.basis.double(), self.variances.double()
        covariance = basis * variances @ basis.T
        there = given.isfinite()
        sure = 1 / (SURE * covariance.diagonal().clamp(min=DEAD * variances.max()).sqrt())
        precision = (alpha / sigma.clamp(min=1e-30)).clamp(max=CLEAREST)
        scaled = torch.where(there, sure * (given.nan_to_num(nan=0.0) - self.centre),
                             precision * (x_t / alpha.clamp(min=1 / CLEAREST) - self.centre))  # fmt: skip
        s = torch.where(there, sure, precision)
        found: Tensor = (s * _solved(s, covariance, scaled)) @ basis * variances
        return found

    def _turn(self, inner: Tensor, like: Tensor, centre: Tensor | float = 0.0) -> Tensor:
        """V times inner (B, D), plus the centre, of the shape of `like`."""
        return (inner @ self.basis.double().T + centre).to(like).reshape(like.shape)

    def _time(self, t: Tensor, x_t: Tensor) -> Tensor:
        t = torch.as_tensor(t, dtype=torch.float64)
        if t.ndim > 1:
            raise UnsupportedError("wiener takes one time for each sample")
        return t.expand(x_t.shape[0]) if t.ndim == 0 else t


def _solved(s: Tensor, covariance: Tensor, right: Tensor) -> Tensor:
    """(S Σ S + I)^-1 applied to each row of `right` (B, D), S the row of s; at once where all rows of s are alike."""
    alike = bool((s == s[:1]).all())
    rows = s[:1] if alike else s
    system = rows[:, :, None] * covariance * rows[:, None, :]
    system.diagonal(dim1=1, dim2=2).add_(1.0)
    factor = torch.linalg.cholesky(system)
    if alike:
        return torch.cholesky_solve(right.T, factor[0]).T
    return torch.cholesky_solve(right[..., None], factor)[..., 0]
