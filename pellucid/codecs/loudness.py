"""Sound as the loudness of its frequencies, frame by frame, without phases; these are found again by iteration."""

from math import pi
from typing import ClassVar, Self

import torch
from torch import Tensor

from pellucid.codecs.codec import Codec
from pellucid.codecs.frames import Frames
from pellucid.core.errors import ConfigError
from pellucid.core.random import Keyed

QUIET = 1e-3
"""e as a share of the size of the loudest frequency: loudness is linear below, logarithmic above."""
STEADIEST = 0.2
"""A frequency's spread, as a share of the largest, below which it is not widened."""
MOMENTUM = 0.99


class Loudness(Codec):
    """z = (log(1 + |X| / e) - m_f) / s_f, with X the short-time Fourier transform of x (see `Frames`).

    A frame is a point and its frequencies are channels: z is a series (C N / 2, L / H), in which a network knows each
    frequency by its place. e, the mean m_f and the spread s_f of each frequency are settled by data: see `fit`.

    Going back takes phases that fit the sizes: from phases at random, always the same, by the iteration of Griffin and
    Lim 1984 with the momentum of Perraudin, Balazs and Sondergaard 2013 (fast Griffin-Lim), algorithm 2. The Nyquist
    frequency is left out.

    Arguments:
        shape: (C, L) of a sample.
        window: N, even.
        hop: H, by which N / 2 and L can be divided; a quarter of N or less, for phases to be found.
        iterations: how often phases are made to fit.
    """

    fitted: ClassVar[bool] = True
    quiet: Tensor
    centre: Tensor
    spread: Tensor
    turns: Tensor

    def __init__(self, *, shape: tuple[int, ...], window: int = 1024, hop: int = 256, iterations: int = 64) -> None:
        super().__init__()
        if iterations < 1:
            raise ConfigError(f"codec.iterations = {iterations}: expected 1 or more")
        if 4 * hop > window:
            raise ConfigError(f"codec.hop = {hop}: expected at most a quarter of codec.window = {window}")
        self.frames, self.iterations = Frames(window, hop), iterations
        channels, count = self.latent_shape(shape)
        self.register_buffer("quiet", torch.ones(()))
        self.register_buffer("centre", torch.zeros(window // 2))
        self.register_buffer("spread", torch.ones(window // 2))
        turns = Keyed(0, [0]).uniform("phases", 0, (channels, count)).reshape(shape[0], window // 2, count)
        self.register_buffer("turns", turns * 2 * pi, persistent=False)

    @classmethod
    def example(cls) -> tuple[Self, tuple[int, ...]]:
        return cls(shape=(1, 64), window=16, hop=4, iterations=4), (1, 64)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        count = self.frames.count(shape)
        return shape[0] * self.frames.window // 2, count

    def fit(self, x: Tensor) -> None:
        """Settle e, m_f and s_f by sounds (N, C, L): z then has mean 0 and variance 1 at all but steady frequencies."""
        sizes = self.sizes(x).double()
        self.quiet = (QUIET * sizes.square().mean((0, 1, 3)).max().sqrt()).clamp_min(1e-12).to(self.quiet)
        logs = (sizes / self.quiet.double()).log1p()
        self.centre = logs.mean((0, 1, 3)).to(self.centre)
        spread = logs.std((0, 1, 3))
        self.spread = spread.clamp_min(STEADIEST * float(spread.max())).clamp_min(1e-12).to(self.spread)

    def encode(self, x: Tensor) -> Tensor:
        logs = (self.sizes(x) / self.quiet.to(x)).log1p()
        return ((logs - self.centre.to(x)[:, None]) / self.spread.to(x)[:, None]).flatten(1, 2)

    def decode(self, z: Tensor) -> Tensor:
        parts = z.reshape(len(z), -1, self.frames.window // 2, z.shape[2])
        logs = parts * self.spread.to(z)[:, None] + self.centre.to(z)[:, None]
        return self.heard((logs.clamp_min(0).expm1() * self.quiet.to(z)).float()).to(z)

    def heard(self, sizes: Tensor) -> Tensor:
        """A sound (B, C, L) whose |X| is near these sizes (B, C, N / 2, L / H)."""
        sizes = torch.cat([sizes, torch.zeros_like(sizes[:, :, :1])], 2)
        turns = self.turns.to(sizes)
        found = torch.polar(sizes, torch.cat([turns, torch.zeros_like(turns[:, :1])], 1).expand_as(sizes))
        before = None
        for _ in range(self.iterations):
            fitting = self.frames(self.frames.back(found))
            ahead = fitting if before is None else fitting + MOMENTUM * (fitting - before)
            found, before = torch.polar(sizes, ahead.angle()), fitting
        sound: Tensor = self.frames.back(found)
        return sound

    def sizes(self, x: Tensor) -> Tensor:
        """|X|, (B, C, N / 2, L / H)."""
        sizes: Tensor = self.frames(x)[:, :, :-1].abs()
        return sizes
