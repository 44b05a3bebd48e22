"""A time per frame: the loss, how times are drawn, and that known frames lead to the exact distribution of the others."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.conditioners.frames import Frames
from pellucid.core.errors import ConfigError
from pellucid.core.random import Keyed
from pellucid.core.shapes import expand
from pellucid.denoisers.denoiser import Cond
from pellucid.denoisers.regression import Regression
from pellucid.guidance.classifier_free import ClassifierFree
from pellucid.losses.adaptive import Adaptive
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.time import Uniform
from pellucid.losses.weighting import EDM, Plain, Weighting
from pellucid.processes.gaussian import Gaussian
from pellucid.samplers.grid import Uniform as UniformGrid
from pellucid.samplers.runge_kutta import Heun
from pellucid.schedules.rectified import Rectified
from pellucid.training.forcing import Forcing, Leading

SHAPE = (2, 4, 3, 3)
PROCESS = Gaussian(schedule=Rectified())


class Echo(nn.Module):
    """A network whose answer depends on what it sees and on the level of each frame."""

    def forward(self, x: Tensor, c_noise: Tensor, *_: Tensor | None) -> Tensor:
        return (2 * x + expand(c_noise, x)).sin()


def loss_of(weighting: Weighting) -> DenoisingLoss:
    denoiser = Regression(process=PROCESS, network=Echo(), prediction="velocity", preconditioning="plain")  # type: ignore[arg-type]
    return DenoisingLoss(denoiser=denoiser, weighting=weighting).double()


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    draws = Keyed(0, list(range(n)))
    return draws.normal("x0", 0, SHAPE).double(), draws.normal("eps", 0, SHAPE).double()


# ----------------------------------------------------------------------------------------------------------- the loss


@pytest.mark.parametrize("weighting", [Plain(), EDM()], ids=["plain", "edm"])
def test_equal_times_are_one_time(weighting: Weighting) -> None:
    (x0, eps), t = batch(), torch.linspace(0.1, 0.9, 6, dtype=torch.float64)
    one, each = (loss_of(weighting)(x0, some, eps) for some in (t, t.reshape(6, 1, 1, 1, 1).expand(6, 1, 4, 1, 1)))
    torch.testing.assert_close(each.weighted, one.weighted)
    torch.testing.assert_close(each.x0_error, one.x0_error)


@pytest.mark.parametrize("weighting", [Plain(), EDM()], ids=["plain", "edm"])
def test_each_frame_counts_by_its_own_time_and_known_ones_not(weighting: Weighting) -> None:
    """The mean over noisy frames of what each costs; a sample without any costs nothing."""
    x0, eps = batch(3)
    t = torch.tensor([[0.2, 0.7, 0.4, 0.9], [0.0, 0.0, 0.3, 0.6], [0.0] * 4], dtype=torch.float64)
    loss = loss_of(weighting)
    found = loss(x0, t.reshape(3, 1, 4, 1, 1), eps)
    expected = []
    for sample in range(2):
        single = [loss(x0[sample, None, :, [frame]], t[sample, [frame]], eps[sample, None, :, [frame]]).weighted
                  for frame in range(4) if t[sample, frame]]  # fmt: skip
        expected.append(torch.cat(single).mean())
    torch.testing.assert_close(found.weighted, torch.stack([*expected, torch.zeros((), dtype=torch.float64)]))


def test_adaptive_times_hear_of_noisy_frames_only() -> None:
    """Of 12 frames 4 are known: 8 losses are told, each in the slice of its own time."""
    times = Adaptive()
    loss = DenoisingLoss(denoiser=loss_of(Plain()).denoiser, weighting=Plain(), times=times).double()
    x0, eps = batch(3)
    t = torch.tensor([[0.0, 0.0, 0.5, 0.9]] * 2 + [[0.1, 0.2, 0.3, 0.4]], dtype=torch.float64).reshape(3, 1, 4, 1, 1)
    assert torch.isfinite(loss(x0, t, eps).weighted).all()
    assert float(times.profile.new_counts.sum()) == 8
    levels = torch.tensor([0.5, 0.9, 0.5, 0.9, 0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    expected = torch.bincount(times.slices(levels, PROCESS.schedule), minlength=len(times.profile.new_counts))
    torch.testing.assert_close(times.profile.new_counts.double().cpu(), expected.double())


# --------------------------------------------------------------------------------------------------------- the times


def test_times_of_frames() -> None:
    """In shares as said: all alike, some known and the others alike, each by itself; and nothing depends on the batch."""
    ids, schedule = list(range(4000)), Rectified()
    t = Uniform().draw(0, np.arange(4000), schedule)
    forcing = Forcing(0.6)
    found = forcing(t, Uniform(), schedule, Keyed(0, ids), 0, SHAPE)
    assert found.shape == (4000, 1, 4, 1, 1)
    each = found.reshape(4000, 4)
    noisy = [row[row > 0].unique() for row in each]
    alike = torch.tensor([len(row) <= 1 for row in noisy])
    known = (each == 0).any(1)
    assert abs(float((alike & ~known).double().mean()) - 0.4) < 0.05  # of the known ones some know nothing
    assert abs(float((~alike).double().mean()) - 0.3) < 0.03
    assert 0.2 < float(known.double().mean()) < 0.3
    torch.testing.assert_close(each[alike & ~known][:, 0], t[alike & ~known])
    own = each[~alike]
    assert abs(float(own.mean()) - 0.5) < 0.02
    assert abs(float(np.corrcoef(own.T)[0, 1])) < 0.08
    torch.testing.assert_close(forcing(t[7:9], Uniform(), schedule, Keyed(0, ids[7:9]), 0, SHAPE), found[7:9])


def test_targets_known_up_to_a_place() -> None:
    """Sources are known. In half the targets all have the sample's time; the others are known up to a place, which is
    uniform, and hidden from there on. Nothing depends on how the stream is cut.
    """
    n, ids, schedule = 2000, list(range(2000)), Rectified()
    t = Keyed(0, ids).uniform("t", 0, ())
    leading = Leading(3, 0.5)
    found = leading(t, Uniform(), schedule, Keyed(0, ids), 0, (1, 8))
    assert found.shape == (n, 1, 8)
    assert not found[..., :3].any()
    own = found[:, 0, 3:]
    alike = (own == t[:, None]).all(1)
    assert float(alike.double().mean()) == pytest.approx(0.5, abs=4 * (0.25 / n) ** 0.5)
    known = (own[~alike] == 0).sum(1)
    assert torch.equal(own[~alike], (torch.arange(5) >= known[:, None]).double())
    shares = torch.bincount(known, minlength=5) / len(known)
    torch.testing.assert_close(shares, torch.full((5,), 0.2), atol=0.06, rtol=0)
    torch.testing.assert_close(leading(t[7:9], Uniform(), schedule, Keyed(0, ids[7:9]), 0, (1, 8)), found[7:9])



# --------------------------------------------------------------------------------------------- what is known, exactly


class Exact(Regression):
    """The posterior mean of a Gaussian with covariance over frames, for any time per frame.

    m = Σ A (A Σ A + S^2)^-1 x_t, with A and S diagonal: the scales of each frame.
    """

    def __init__(self, covariance: Tensor) -> None:
        shape = (1, len(covariance), 1, 1)
        super().__init__(process=PROCESS, network=Echo(), prediction="x0", conditioners={"given": Frames(shape=shape)})  # type: ignore[arg-type]
        self.covariance = covariance

    def predict(self, x_t: Tensor, t: Tensor, cond: Cond | None = None, **_: Tensor | None) -> Tensor:  # noqa: ARG002
        levels = expand(t, x_t).expand(len(x_t), 1, x_t.shape[2], 1, 1).reshape(len(x_t), -1)
        alpha, sigma = PROCESS.schedule.alpha(levels), PROCESS.schedule.sigma(levels)
        seen = alpha[:, :, None] * self.covariance * alpha[:, None, :] + torch.diag_embed(sigma**2)
        inverse = torch.linalg.solve(seen, x_t.reshape(len(x_t), -1, 1).double())
        return (self.covariance @ (alpha[:, :, None] * inverse)).reshape(x_t.shape)


@pytest.mark.parametrize("known", [(0, 1), (3,), (0, 4), ()], ids=str)
def test_other_frames_follow_their_conditional_distribution(known: tuple[int, ...]) -> None:
    """Means and covariances of p(unknown | known), whichever frames those are, by a sampler that knows nothing of it."""
    frames, count = 5, 6000
    lag = torch.arange(frames, dtype=torch.float64)
    covariance = 0.8 ** (lag[:, None] - lag).abs()
    values = torch.tensor([1.0, 1.6, -0.5, 0.8, -1.2], dtype=torch.float64)
    given = torch.full((frames,), torch.nan, dtype=torch.float64)
    given[list(known)] = values[list(known)]
    draws = Keyed(0, list(range(count)))
    cond = {"given": given.reshape(1, 1, frames, 1, 1).expand(count, -1, -1, -1, -1)}
    x = draws.normal("prior", 0, (1, frames, 1, 1)).double()
    grid = UniformGrid()(PROCESS.schedule, 40)
    made = Heun().sample(Exact(covariance), x, grid, draws=draws, cond=cond).reshape(count, frames)
    rest = [frame for frame in range(frames) if frame not in known]
    a, b = list(known), rest
    gain = covariance[b][:, a] @ torch.linalg.inv(covariance[a][:, a]) if a else torch.zeros(len(b), 0).double()
    mean, left = gain @ values[a], covariance[b][:, b] - gain @ covariance[a][:, b]
    if a:
        assert torch.equal(made[:, a], values[a].expand(count, -1))
    torch.testing.assert_close(made[:, b].mean(0), mean, atol=4 * count**-0.5, rtol=0)
    torch.testing.assert_close(torch.cov(made[:, b].T).reshape(left.shape), left, atol=6 * count**-0.5, rtol=0)


def test_guidance_keeps_what_is_known() -> None:
    """It leads away from no condition, not from other frames."""
    exact = Exact(torch.eye(3, dtype=torch.float64))
    value = torch.full((2, 1, 3, 1, 1), torch.nan, dtype=torch.float64)
    value[:, :, 0] = 0.5
    assert exact.null({"given": value})["given"] is value
    guided = ClassifierFree(exact, 3.0)
    x = torch.randn(2, 1, 3, 1, 1, dtype=torch.float64)
    assert torch.equal(guided(x, torch.tensor(0.4), {"given": value}).mean[:, :, 0], value[:, :, 0])


def test_parts_of_a_frame_are_refused() -> None:
    frames = Frames(shape=(2, 3, 2, 2))
    value = torch.zeros(2, 3, 2, 2)
    value[0, 1] = torch.nan
    with pytest.raises(ConfigError, match="Parts of a frame are given"):
        frames.parse(value, 1)
    value[1, 1] = torch.nan
    assert frames.parse(value, 4).shape == (4, 2, 3, 2, 2)
