"""The loss by which a regression's weights go from noise to data in a few calls, as a teacher does in many."""

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.core.shapes import expand, mean_per_sample
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.parametric import Parametric
from pellucid.losses.loss import Loss, Losses
from pellucid.losses.pairs import Pairs
from pellucid.losses.responses import responses
from pellucid.processes.process import Process

ROUND = 0.00054
"""Distances per value below which the loss is a square."""
LEVELS = (0.02, 0.32)
"""Times from the first to the second, at which responses are compared."""


class ConsistencyLoss(Loss):
    """huber(x_0 - y) + w r(x_0, y): K calls of f lead from noise to x_0 and are trained as one; y is where the teacher's
    path from the same noise ends.

        x_{(k-1)/K} = move(x_{k/K}, f(x_{k/K}, k/K), k/K, (k-1)/K)    for k = K, ..., 1, x_1 being noise
        huber(d) = sqrt(|d|^2 / D + c^2) - c,   D values, c = 0.00054
        r(x, y) = mean over blocks of sqrt(|h(x) - h(y)|^2 / |h(y)|^2),   h what a block of the teacher makes of x + noise

    The ends are those of the probability flow, as in Song et al. 2023 (Consistency Models), section 3, and Heek et al. 2024
    (Multistep Consistency Models); that they are known beforehand, and learned as pairs, is as in Luhman and Luhman 2021,
    section 3. r is that of Lin and Yang 2024 (Diffusion Model with Perceptual Loss), eq. 9; the first distance that of Song
    and Dhariwal 2023 (iCT), eq. 8, per value. Samples of the data do not enter: the batch's times choose among the pairs.

    Arguments:
        denoiser: f; it knows K.
        teacher: whose blocks respond.
        pairs: noise and ends; set later, where they are not known yet.
        responses: w.
    """

    def __init__(
        self, *, denoiser: Consistency, teacher: Parametric, pairs: Pairs | None = None, responses: float = 0.5
    ) -> None:
        super().__init__()
        if denoiser.prediction == "x0":
            raise ConfigError("denoiser.prediction = 'x0' lets f(x, 0) be anything: expected edm, velocity, v or eps")
        self.denoiser, self.pairs, self.weight = denoiser, pairs, responses
        self.teacher = teacher.requires_grad_(False)

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:  # noqa: ARG002
        """x0, eps (B, C, *space); t (B,), evenly spread over (0, 1]."""
        part, level = self.chosen(x0, t)
        made = self.through(part)
        return self.compared(made, part.made, level, eps)

    def chosen(self, like: Tensor, t: Tensor) -> tuple[Pairs, Tensor]:
        """A pair for each time, and a time at which it is looked at: the whole and the rest of N (1 - t)."""
        assert self.pairs is not None, "pairs are drawn before training begins"
        place = (1 - torch.as_tensor(t, dtype=torch.float64)) * len(self.pairs)
        rows = place.long().clamp(0, len(self.pairs) - 1)
        part = self.pairs[rows]
        cond = {name: value.to(like.device) for name, value in part.cond.items()}
        return Pairs(part.x.to(like), cond, part.made.to(like)), LEVELS[0] + (LEVELS[1] - LEVELS[0]) * (place - rows)

    def through(self, pairs: Pairs) -> Tensor:
        """x_0."""
        f, x = self.denoiser, pairs.x
        for k in range(f.segments, 0, -1):
            t, s = (torch.full((len(x),), place / f.segments, dtype=torch.float64) for place in (k, k - 1))
            x = move(f.process, x, f.clean(x, t, pairs.cond or None), t, s)
        return x

    def compared(self, made: Tensor, wanted: Tensor, level: Tensor, eps: Tensor) -> Losses:
        """x_0 and y."""
        error = mean_per_sample((made - wanted) ** 2)
        loss = torch.sqrt(error + ROUND**2) - ROUND
        if self.weight:
            with torch.no_grad():
                expected = responses(self.teacher, wanted, level, eps)
            found = responses(self.teacher, made, level, eps)
            apart = [mean_per_sample((x - y) ** 2) / (y**2).mean() for x, y in zip(found, expected, strict=True)]
            loss = loss + self.weight * torch.stack([(one + ROUND**2).sqrt() for one in apart]).mean(0)
        return Losses(loss, error)


def move(process: Process, x_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """x_s = alpha_s x0 + sigma_s (x_t - alpha_t x0) / sigma_t, for times (B,); x_t itself where s = t."""
    alpha_t, sigma_t = _scales(process, t, x_t)
    alpha_s, sigma_s = _scales(process, s, x_t)
    kept = torch.where(sigma_t > 0, sigma_s / sigma_t, 1.0)
    moved = (alpha_s - kept * alpha_t).to(x_t) * x0 + kept.to(x_t) * x_t
    return torch.where(expand(s == t, x_t), x_t, moved)


def _scales(process: Process, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at times (B,), broadcastable to x, float64."""
    return expand(process.schedule.alpha(t), x), expand(process.schedule.sigma(t), x)
