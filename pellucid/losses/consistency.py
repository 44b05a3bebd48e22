"""The loss that makes a regression's weights a consistency function's, in one part of the path or in several."""

import torch
from torch import Tensor, nn

from pellucid.core.errors import ConfigError
from pellucid.core.shapes import expand, mean_per_sample
from pellucid.denoisers.consistency import Consistency
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.losses.loss import Loss, Losses
from pellucid.processes.process import Process

ROUND = 0.00054
"""Distances per value below which the loss is a square."""


class ConsistencyLoss(Loss):
    """i huber(f(x_t, t) - y), with y what leads from x_t to where the path that the teacher continues ends.

    The path from t = 1 to 0 has K segments of N intervals each, so t = (k N + i) / (K N); times that are given are rounded
    up to such. The teacher goes one interval, from x_t at t to x_r at r, in M steps of the midpoint method along the angle
    atan(sigma / alpha); f goes on from there to the segment's end s = k / K, without a gradient; and y is the x0 that leads
    there from x_t in a straight move, x_s = alpha_s y + sigma_s (x_t - alpha_t y) / sigma_t. At the end of a segment nothing
    is left to go, so what is learned beside it spreads upwards, over N intervals. With N = 1 the teacher goes all the way,
    in 2 M calls, and nothing has to spread.

        huber(d) = sqrt(|d|^2 / D + c^2) - c,   D values, c = 0.00054

    Heek, Hoogeboom and Salimans 2024 (Multistep Consistency Models), algorithm 1, with a teacher of second order; the
    distance is that of Song and Dhariwal 2023 (iCT), eq. 8, per value.

    Arguments:
        denoiser: f; it knows K.
        teacher: whose paths these are, under its guidance.
        intervals: N.
        strides: M.
    """

    def __init__(self, *, denoiser: Consistency, teacher: Denoiser, intervals: int = 1, strides: int = 4) -> None:
        super().__init__()
        if denoiser.prediction == "x0":
            raise ConfigError("denoiser.prediction = 'x0' lets f(x, 0) be anything: expected edm, velocity, v or eps")
        if intervals < 1 or strides < 1:
            raise ConfigError(f"loss.intervals = {intervals}, loss.strides = {strides}: expected 1 or more")
        self.denoiser, self.intervals, self.strides = denoiser, intervals, strides
        self.teacher = teacher.requires_grad_(False)

    @property
    def trained(self) -> nn.Module:
        return self.denoiser

    def forward(self, x0: Tensor, t: Tensor, eps: Tensor, cond: Cond | None = None) -> Losses:
        """x0, eps (B, C, *space); t (B,)."""
        x_t, t, _ = self.start(x0, t, eps)
        here, consistent = self.consistent(x_t, t, cond)
        return Losses(consistent, mean_per_sample((here.detach() - x0) ** 2))

    def start(self, x0: Tensor, t: Tensor, eps: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x_t, t and the end s of its segment."""
        whole = self.intervals * self.denoiser.segments
        place = (torch.as_tensor(t, dtype=torch.float64) * whole).ceil().clamp(1, whole)
        s = ((place - 1) / self.intervals).floor() / self.denoiser.segments
        return self.denoiser.process.corrupt(x0, place / whole, eps), place / whole, s

    def consistent(self, x_t: Tensor, t: Tensor, cond: Cond | None) -> tuple[Tensor, Tensor]:
        """f(x_t, t) and the loss, (B,)."""
        f, whole = self.denoiser, self.intervals * self.denoiser.segments
        place = (t * whole).round()
        r, s = (place - 1) / whole, ((place - 1) / self.intervals).floor() / f.segments
        with torch.no_grad():
            x_r = self._followed(x_t, t, r, cond)
            end = x_r if self.intervals == 1 else move(f.process, x_r, f.clean(x_r, r, cond), r, s)
            alpha_t, sigma_t = _scales(f.process, t, x_t)
            alpha_s, sigma_s = _scales(f.process, s, x_t)
            kept = sigma_s / sigma_t
            wanted = ((end - kept.to(x_t) * x_t) / (alpha_s - kept * alpha_t).to(x_t)).to(x_t)
        here = f.clean(x_t, t, cond)
        distance = torch.sqrt(mean_per_sample((here - wanted) ** 2) + ROUND**2) - ROUND
        return here, distance * (place - s * whole).to(distance)


    def _followed(self, x_t: Tensor, t: Tensor, r: Tensor, cond: Cond | None) -> Tensor:
        """x_r by the teacher."""
        for stride in range(self.strides):
            here, there = (t + (r - t) * (stride + step) / self.strides for step in (0, 1))
            x_t = follow(self.teacher, x_t, here, there, cond)
        return x_t


def move(process: Process, x_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """x_s = alpha_s x0 + sigma_s (x_t - alpha_t x0) / sigma_t, for times (B,); x_t itself where s = t."""
    alpha_t, sigma_t = _scales(process, t, x_t)
    alpha_s, sigma_s = _scales(process, s, x_t)
    kept = torch.where(sigma_t > 0, sigma_s / sigma_t, 1.0)
    moved = (alpha_s - kept * alpha_t).to(x_t) * x0 + kept.to(x_t) * x_t
    return torch.where(expand(s == t, x_t), x_t, moved)


def follow(teacher: Denoiser, x_t: Tensor, t: Tensor, r: Tensor, cond: Cond | None = None) -> Tensor:
    """x_r of the probability flow through x_t, for times (B,): one step of the midpoint method along the angle u.

    y = x / n with n = hypot(alpha, sigma) and u = atan2(sigma, alpha) changes by dy/du = (alpha eps - sigma x0) / n, which
    is regular at both ends.
    """
    process = teacher.process
    u_t, n_t = _angle(process, t, x_t)
    u_r, n_r = _angle(process, r, x_t)
    middle = torch.tan((u_t + u_r) / 2)
    m = process.schedule.time_at_ratio(middle.flatten())
    n_m = _angle(process, m, x_t)[1]
    half = x_t / n_t.to(x_t) + ((u_r - u_t) / 2).to(x_t) * _slope(teacher, x_t, t, cond)
    slope = _slope(teacher, n_m.to(x_t) * half, m, cond)
    return n_r.to(x_t) * (x_t / n_t.to(x_t) + (u_r - u_t).to(x_t) * slope)


def _slope(teacher: Denoiser, x: Tensor, t: Tensor, cond: Cond | None) -> Tensor:
    alpha, sigma = _scales(teacher.process, t, x)
    x0, n = teacher(x, t, cond).mean, torch.hypot(alpha, sigma)
    found: Tensor = (alpha / (n * sigma)).to(x) * x - ((alpha**2 + sigma**2) / (n * sigma)).to(x) * x0
    return found


def _angle(process: Process, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    alpha, sigma = _scales(process, t, x)
    return torch.atan2(sigma, alpha), torch.hypot(alpha, sigma)


def _scales(process: Process, t: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """alpha and sigma at times (B,), broadcastable to x, float64."""
    return expand(process.schedule.alpha(t), x), expand(process.schedule.sigma(t), x)
