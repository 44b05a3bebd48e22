"""Latent diffusion: the codec and its loss against what is known, and a run of two stages in one folder and one file."""

import os
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.nn.functional import avg_pool2d, interpolate

from pellucid.codecs.kl import KL
from pellucid.core.errors import ConfigError, InterruptedRunError, ModelError, UnsupportedError
from pellucid.core.random import Key
from pellucid.data.pack import Pack
from pellucid.evaluation.reconstruction import psnr
from pellucid.losses.autoencoding import AutoencodingLoss
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training.config import RunConfig, apply_settings, load_config
from pellucid.training.loop import run
from pellucid.training.prepare import Prepared
from pellucid.training.stages import codec_stage, denoiser_stage
from pellucid.training.start import settings_of
from pellucid.training.state import TrainingState
from pellucid.training.train import train

SHAPES = [(1, 5), (3, 10, 7), (4, 64, 65), (7, 4, 5, 6)]
COURSE = ["training.batch=16", "training.warmup=160", "training.checkpoint_samples=160", "training.evaluate=false"]
SETTINGS = [
    "codec.width=24", "codec.latent_channels=1", "autoencoding.samples=4096", "autoencoding.batch=8",
    "network.channels=[8,16]", *COURSE,
]  # fmt: skip


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A sum's last bit may depend on how many threads share it."""
    torch.set_num_threads(1)


def rectangles(count: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Pictures of 16 x 16, two grey rectangles on a grey ground: sharp edges, and little to know."""
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, 16, 16), dtype=np.uint8)
    for picture in pictures:
        picture[:] = rng.integers(256)
        for _ in range(2):
            top, left = rng.integers(0, 10, 2)
            height, width = rng.integers(4, 10, 2)
            picture[top : top + height, left : left + width] = rng.integers(256)
    return pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rectangles")


@pytest.fixture(scope="module")
def data(folder: Path) -> Path:
    np.save(folder / "x.npy", rectangles(500, seed=0))
    return folder / "x.npy"


@pytest.fixture(scope="module")
def trained(data: Path, folder: Path) -> Path:
    """A run that nobody disturbs."""
    torch.set_num_threads(1)
    train(data, folder / "run", samples=640, latent=True, settings=SETTINGS)
    return folder / "run"


def made(shape: tuple[int, ...], **settings: Any) -> KL:
    codec = KL(shape=shape, width=8, **settings)
    initialise(codec, Key(0, "test"))
    return codec


def assert_same_bits(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


# ------------------------------------------------------------------------------------------------------------ the codec


@pytest.mark.parametrize("downsampling", [None, 2, 4])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_any_shape_goes_in_and_comes_out(shape: tuple[int, ...], downsampling: int | None) -> None:
    """Odd lengths, any channels, one to three axes: an axis of the latent is as many times shorter, rounded up."""
    codec, x = made(shape, downsampling=downsampling, latent_channels=3), torch.randn(2, *shape)
    factor = downsampling or (4 if max(shape[1:]) >= 64 else 2)
    expected = (3, *(-(-n // factor) for n in shape[1:]))
    z = codec.encode(x)
    assert codec.latent_shape(shape) == z.shape[1:] == expected
    assert codec.decode(z).shape == x.shape


def test_filling_up_leaves_what_is_there_alone() -> None:
    """A picture with its edge repeated by hand has the latents of the shorter one, which is filled up by the codec."""
    x = torch.randn(2, 3, 10, 7)
    longer = torch.cat([x, x[..., -1:, :].expand(-1, -1, 2, -1)], dim=2)
    longer = torch.cat([longer, longer[..., -1:]], dim=3)
    short, long = made((3, 10, 7), downsampling=4), made((3, 12, 8), downsampling=4)
    torch.testing.assert_close(short.encode(x), long.encode(longer))


def test_latents_are_standardised() -> None:
    """Mean 0 and variance 1 in each channel, whatever they were; the decoder is given what they were."""
    codec = made((2, 8, 8))
    x = 3 * torch.randn(50, 2, 8, 8) + 1
    before = codec.posterior(x)[0]
    codec.standardise(before.split(20))
    z = codec.encode(x)
    torch.testing.assert_close(z.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(z.var((0, 2, 3), correction=0), torch.ones(4))
    torch.testing.assert_close(codec.decode(z), codec.reconstruct(before))


@pytest.mark.parametrize(("shape", "settings", "error", "words"), [
    ((3, 16, 16), {"downsampling": 3}, ConfigError, "3 does not fit samples of 16 x 16: expected a power of 2, from 2"),
    ((3, 16, 16), {"downsampling": 32}, ConfigError, "32 does not fit .* from 2 to their longest side"),
    ((3, 16, 16), {"latent_channels": 0}, ConfigError, "latent_channels = 0 is too small"),
    ((3,), {}, UnsupportedError, r"Samples of shape \(3,\) have no latents"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(
    shape: tuple[int, ...], settings: dict[str, int], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        KL(shape=shape, **settings)  # type: ignore[arg-type]


def test_another_shape_is_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"made for samples of shape \(3, 16, 16\), not \(1, 16, 16\)"):
        made((3, 16, 16)).latent_shape((1, 16, 16))


# ------------------------------------------------------------------------------------------------------------- the loss


def test_the_loss_is_what_it_says() -> None:
    """At the start the decoder answers 0, so that all terms are known: the divergence from torch's own."""
    codec = made((2, 6, 5)).double()
    x, eps = torch.randn(3, 2, 6, 5, dtype=torch.float64), torch.randn(3, *codec.latent_shape((2, 6, 5)))
    mean, log_variance = codec.posterior(x)
    divergence = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum((1, 2, 3)) / 60
    down, right = (x[:, :, 1:] - x[:, :, :-1]).abs().mean((1, 2, 3)), (x[..., 1:] - x[..., :-1]).abs().mean((1, 2, 3))
    found = AutoencodingLoss(codec=codec, kl=0.3, gradient=0.7)(x, eps)
    torch.testing.assert_close(found.weighted, x.abs().mean((1, 2, 3)) + 0.7 * (down + right) / 2 + 0.3 * divergence)
    torch.testing.assert_close(found.x0_error, (x**2).mean((1, 2, 3)))


def test_what_is_decoded_is_a_sample_of_the_posterior() -> None:
    """z = mean + std · eps: the loss of a codec with eps given is that of one without noise whose mean is that z."""
    codec = made((1, 8, 8))
    for parameter in codec.decoder.head.parameters():
        torch.nn.init.ones_(parameter)
    x, eps = torch.randn(4, 1, 8, 8), torch.randn(4, 4, 4, 4)
    mean, log_variance = codec.posterior(x)
    rebuilt = codec.reconstruct(Normal(mean, (log_variance / 2).exp()).icdf(Normal(0.0, 1.0).cdf(eps)))
    found = AutoencodingLoss(codec=codec)(x, eps).x0_error
    torch.testing.assert_close(found, ((rebuilt - x) ** 2).mean((1, 2, 3)), rtol=1e-3, atol=1e-5)


def test_weights_below_zero_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"autoencoding\.loss\.kl = -1 is out of range: allowed is 0 \(off\) or more"):
        AutoencodingLoss(codec=made((1, 8, 8)), kl=-1)


def test_decoder_and_discriminator_pull_apart() -> None:
    """Each minimises its own part: the discriminator the hinge loss, the decoder the distance and, as hard, -D(x̂)."""
    codec, x, eps = made((1, 9, 8)).double(), torch.randn(4, 1, 9, 8).double(), torch.randn(4, 4, 5, 4)
    for parameter in codec.decoder.head.parameters():
        torch.nn.init.normal_(parameter, generator=torch.Generator().manual_seed(0))
    plain, loss = (AutoencodingLoss(codec=codec, kl=0, adversarial=weight).double() for weight in (0.0, 1.0))
    discriminator = loss.discriminator
    assert discriminator is not None
    initialise(discriminator, Key(0, "test"))
    mean, log_variance = codec.posterior(x)
    rebuilt = codec.reconstruct(mean + (log_variance / 2).exp() * eps)
    distance, real, fake = plain(x, eps).weighted.sum(), discriminator(x), discriminator(rebuilt)
    own = ((1 - real).clamp(min=0) + (1 + fake).clamp(min=0)).mean((1, 2)).sum() / 2
    found, last = loss(x, eps).weighted.sum(), codec.last
    pull, push = (torch.autograd.grad(part, last, retain_graph=True)[0] for part in (distance, -fake.mean((1, 2)).sum()))
    expected = pull + push * pull.norm() / (push.norm() + 1e-4)
    torch.testing.assert_close(torch.autograd.grad(found, last, retain_graph=True)[0], expected)
    weights = list(discriminator.parameters())
    for one, other in zip(torch.autograd.grad(found, weights), torch.autograd.grad(own, weights), strict=True):
        torch.testing.assert_close(one, other)


def test_signal_to_noise_in_decibels() -> None:
    """An error of 0.2 everywhere against a range of 2 is a ratio of 10: 20 dB. What leaves the range is clamped to it."""
    x = torch.full((1, 3, 4, 4), 0.5)
    torch.testing.assert_close(psnr(x + 0.2, x), torch.tensor([20.0], dtype=torch.float64))
    assert psnr(torch.full((1, 3, 4, 4), 7.0), torch.ones(1, 3, 4, 4)) > 100


# ------------------------------------------------------------------------------------------------------------- the run


def test_a_short_training_beats_a_blurred_copy(trained: Path) -> None:
    """On pictures that it has not seen, against the mean of each 2 x 2 pixels, which is as many numbers as the latent."""
    model = Model.load(trained)
    x = model.modality.decode(rectangles(100, seed=1)[:, None])
    assert model.codec.latent_shape((1, 16, 16)) == (1, 8, 8)
    blurred = interpolate(avg_pool2d(x, 2), scale_factor=2, mode="bilinear")
    rebuilt = model.codec.decode(model.codec.encode(x))
    assert psnr(rebuilt, x).mean() > psnr(blurred, x).mean() + 1
    assert model.card["codec"]["psnr"] == pytest.approx(float(psnr(rebuilt, x).mean()), abs=2.0)


def test_latents_are_packed_once_and_have_unit_variance(trained: Path, data: Path) -> None:
    """In the order of the data, rounded to float16; nothing else is diffused."""
    model, latents = Model.load(trained), Pack.open(trained / "codec" / "latents")
    x = model.modality.decode(np.load(data)[:, None])
    z = torch.from_numpy(np.array(latents.samples)).float()
    torch.testing.assert_close(z, model.codec.encode(x), atol=2e-3, rtol=2e-3)
    assert (model.facts.mean, model.facts.std, model.facts.shape) == (0.0, 1.0, (1, 16, 16))
    assert abs(float(z.mean())) < 0.01
    assert float(z.std()) == pytest.approx(1.0, abs=0.01)


def test_the_model_is_one_file(trained: Path, tmp_path: Path) -> None:
    """Codec and denoiser by their prefixes; samples are data, the same ones after saving and loading."""
    names = {name.partition(".")[0] for name in load_file(trained / "model.safetensors")}
    assert names == {"codec", "denoiser"}
    model = Model.load(trained)
    model.save(tmp_path / "copy.safetensors")
    again = Model.load(tmp_path / "copy.safetensors")
    samples = model.sample(3, steps=2, journey=True)
    assert samples.data.shape == (3, 1, 16, 16)
    assert [frame.shape for frame in samples.journey] == [(3, 1, 16, 16)] * 3
    assert torch.equal(again.sample(3, steps=2).data, samples.data)
    torch.testing.assert_close(again.sample(3, steps=2, batch=2).data, samples.data, rtol=1e-4, atol=1e-5)
    report = (trained / "report.html").read_text()
    assert re.search(r"reconstruction.*dB PSNR on training data", report)


@dataclass(eq=False)
class Watch:
    """Signals its own process after so many samples of the codec, or of the denoiser."""

    codec: int = -1
    denoiser: int = -1
    begun: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        name = "codec" if state.loss.trained is model.codec else "denoiser"
        self.begun.append((name, state.seen))

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if state.seen == {"codec": self.codec, "denoiser": self.denoiser}[self.begun[-1][0]]:
            os.kill(os.getpid(), signal.SIGTERM)


def configured(data: Path, *more: str) -> RunConfig:
    quick = ("codec.name=kl", "training.samples=320", "autoencoding.samples=320")
    return apply_settings(RunConfig(), [f"data.path={data}", *SETTINGS, *quick, *more])


def torn(out: Path) -> None:
    """As if killed between the stages: no latents, and the codec not written."""
    shutil.rmtree(out / "codec" / "latents")
    (out / "codec" / "codec.safetensors").unlink()
    (out / "model.safetensors").unlink()


@pytest.mark.parametrize("more", [
    (), ("data.flip=horizontal", "training.weak=0.3", "autoencoding.loss.adversarial=0.5"),
], ids=["packed", "flipped"])  # fmt: skip
def test_a_run_stopped_in_either_stage_ends_in_the_same_bits(more: tuple[str, ...], data: Path, tmp_path: Path) -> None:
    """Each stage goes on from its own checkpoint; a finished codec is not trained again, nor the data encoded again."""
    config = configured(data, *more)
    run(config, tmp_path / "whole")
    out, watches = tmp_path / "parts", [Watch(codec=112), Watch(denoiser=208), Watch()]
    for watch in watches[:2]:
        with pytest.raises(InterruptedRunError):
            run(config, out, resume=watch is not watches[0], observer=watch)
    assert (out / "codec" / "latents").exists() == (not more)  # what is flipped anew each time is encoded as it comes
    run(config, out, resume=True, observer=watches[2])
    assert [watch.begun for watch in watches] == [[("codec", 0)], [("codec", 112), ("denoiser", 0)], [("denoiser", 208)]]
    model = load_file(tmp_path / "whole" / "model.safetensors")
    assert_same_bits(load_file(out / "model.safetensors"), model)
    if not more:
        torn(out)
        run(config, out, resume=True)
        assert_same_bits(load_file(out / "model.safetensors"), model)


def test_a_codec_of_another_run_is_refused(data: Path, trained: Path, tmp_path: Path) -> None:
    """And a damaged one, by name."""
    config = configured(data)
    with pytest.raises(InterruptedRunError):
        run(config, tmp_path, observer=Watch(denoiser=160))
    own = tmp_path / "codec" / "codec.safetensors"
    shutil.copy(trained / "codec" / "codec.safetensors", own)
    with pytest.raises(ModelError, match="belongs to another configuration or data set"):
        run(config, tmp_path, resume=True)
    own.write_bytes(own.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"is damaged.*Delete it to make it anew"):
        run(config, tmp_path, resume=True)


def test_going_on_from_a_latent_model_keeps_its_codec(trained: Path, tmp_path: Path) -> None:
    """Other data is encoded with it, all the time is the denoiser's, and a run stopped is resumed to the same bits."""
    np.save(tmp_path / "x.npy", rectangles(60, seed=2))
    settings = [*COURSE, "training.samples=320"]
    watch = Watch()
    model = run(started(trained, tmp_path, *settings), tmp_path / "whole", observer=watch)
    old = {name: value for name, value in load_file(trained / "model.safetensors").items() if name.startswith("codec.")}
    assert_same_bits({name: value for name, value in model.tensors().items() if name.startswith("codec.")}, old)
    assert watch.begun == [("denoiser", 0)]
    assert model.card["codec"]["minutes"] == 0
    with pytest.raises(InterruptedRunError):
        run(started(trained, tmp_path, *settings), tmp_path / "parts", observer=Watch(denoiser=160))
    run(load_config(tmp_path / "parts" / "config.toml"), tmp_path / "parts", resume=True)
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert_same_bits(whole, parts)


def started(model: Path, folder: Path, *settings: str) -> RunConfig:
    return apply_settings(settings_of(model), [f"data.path={folder / 'x.npy'}", *settings])


@pytest.mark.parametrize(("setting", "words"), [
    ("autoencoding.loss.kl=-1", "kl = -1 is out of range"), ("autoencoding.loss.gan=1", "Unknown setting 'gan'"),
    ("codec.downsampling=5", "downsampling = 5 does not fit samples of 16 x 16"),
    ("autoencoding.share=1.5", "autoencoding.share: expected less than 1, got 1.5"),
])  # fmt: skip
def test_what_is_refused_leaves_no_run_behind(setting: str, words: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        train(data, tmp_path / "run", samples=320, latent=True, settings=[setting])
    assert not (tmp_path / "run" / "config.toml").exists()


def test_time_is_shared_between_the_stages() -> None:
    """A third of the minutes for the codec by default; samples are the denoiser's, with a third as many before."""
    def lengths(*settings: str) -> list[tuple[float | None, int | None]]:
        config = apply_settings(RunConfig(), settings)
        stages = codec_stage(config), denoiser_stage(config, codec=True, reading=False)
        return [(stage.minutes, stage.samples) for stage in stages]

    (codec, none), (denoiser, _) = lengths("training.minutes=30")
    assert codec == pytest.approx(10, abs=0.2)
    assert codec + denoiser == pytest.approx(30)
    assert none is None
    assert lengths("training.minutes=30", "autoencoding.samples=500") == [(None, 500), (30.0, None)]
    assert lengths("training.samples=3000", "autoencoding.share=0.5") == [(None, 1500), (None, 3000)]
