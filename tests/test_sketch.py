"""Sketches of what words let expect: the sketch and its loss against what is known, and the stage that fills it."""

import json
import os
import signal
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import cross_entropy, normalize

from pellucid.conditioners.caption import Caption
from pellucid.core.errors import ConfigError, InterruptedRunError
from pellucid.core.random import Key
from pellucid.data.pack import Pack
from pellucid.denoisers.regression import Regression
from pellucid.denoisers.sketch import SHARP, TEMPERATURE, Sketch
from pellucid.losses.reading import ReadingLoss
from pellucid.model.model import Model
from pellucid.networks.initialise import initialise
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import assemble, run
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.reading import ReadingBatches
from pellucid.training.stages import codec_stage, denoiser_stage, reading_stage
from pellucid.training.state import TrainingState
from pellucid.training.train import train
from picture_files import picture

SHAPE = (2, 3, 4)
SETTINGS = (
    "denoiser.sketch=8", "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "reading.batch=16",
    "reading.optimiser.learning_rate=0.01", "text.features=16", "text.depth=1", "text.length=6", "training.evaluate=false",
    "training.precision=float32", "training.checkpoint_samples=32", "sampling.steps=6",
)  # fmt: skip
GREYS = {"black ink": 0, "grey lead": 12, "white chalk": 25}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """A sum's last bit may depend on how many threads share it."""
    torch.set_num_threads(1)


def numbers(name: str, *shape: int) -> torch.Tensor:
    return Key(0, name).normal([0], shape)[0]


def filled(rank: int, count: int = 9) -> tuple[Sketch, torch.Tensor, torch.Tensor]:
    """A sketch in float64, the directions of what was said, that of nothing first, and the samples."""
    sketch = Sketch(width=6, shape=SHAPE, rank=rank).double()
    said, samples = normalize(numbers("said", count + 1, 6), dim=1), numbers("samples", count, *SHAPE)
    sketch.fill(said[0], 3 * said[1:], samples)
    return sketch, said, samples


# ------------------------------------------------------------------------------------------------------------- the sketch


@pytest.mark.parametrize(("training", "temperature"), [(True, TEMPERATURE), (False, SHARP)])
def test_a_sketch_is_the_mean_of_what_fits(training: bool, temperature: float) -> None:
    """Of Nadaraya and Watson, written out sample by sample; no words at all have the mean of all samples."""
    sketch, said, samples = filled(rank=24)
    sketch.train(training)
    asked = numbers("asked", 5, 6)
    known = torch.cat([samples.mean(0, keepdim=True), samples])
    for vector, found in zip(asked, sketch(asked), strict=True):
        fits = [float(torch.exp((vector / vector.norm()) @ key / temperature)) for key in said]
        expected = sum(fit / sum(fits) * sample for fit, sample in zip(fits, known, strict=True))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("rank", [1, 3, 24])
def test_samples_are_kept_as_well_as_their_rank_allows(rank: int) -> None:
    """By the squared error of a truncated singular value decomposition (Eckart and Young 1936)."""
    sketch, _, samples = filled(rank)
    flat = (samples - samples.mean(0)).flatten(1).numpy()
    lost = float((np.linalg.svd(flat, compute_uv=False)[rank:] ** 2).sum())
    kept = (sketch.coefficients[1:] @ sketch.basis.flatten(1)).numpy()
    assert ((kept - flat) ** 2).sum() == pytest.approx(lost, abs=1e-9)
    assert not sketch.coefficients[0].any()


def test_a_sketch_comes_back_from_its_weights() -> None:
    """However many samples it knows; empty, it says nothing."""
    sketch, _, _ = filled(rank=3)
    other = Sketch(width=6, shape=SHAPE, rank=3).double()
    asked = numbers("asked", 2, 6)
    assert not other(asked).any()
    other.load_state_dict(sketch.state_dict())
    assert torch.equal(other(asked), sketch(asked))
    other.load_state_dict({name: value.half() for name, value in sketch.state_dict().items()})
    torch.testing.assert_close(other(asked), sketch(asked), rtol=0, atol=0.05)
    assert other.keys.dtype == torch.float64


def test_captions_of_one_sample_are_drawn_together() -> None:
    """The loss by torch's own cross entropy; of two samples with one caption neither counts against the other."""
    reader = Caption(width=8, features=16, depth=1, length=6).double()
    initialise(reader, Key(0, "reader"))
    first, second = reader.encode(["a cat", "a dog", "a hen"]), reader.encode(["cats", "dogs", "a cat"])
    u, v = (normalize(reader(captions).vector, dim=1) for captions in (first, second))
    scores = u @ v.T / 0.05
    scores[0, 2] = -torch.inf
    right = torch.arange(3)
    expected = [cross_entropy(s, right, reduction="none") for s in (scores, scores.T)]
    torch.testing.assert_close(ReadingLoss(reader=reader)(first, second).weighted, (expected[0] + expected[1]) / 2)


# ---------------------------------------------------------------------------------------------------------- in a training


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose grey is in their captions."""
    home, rows = tmp_path_factory.mktemp("sketch"), []
    for index in range(24):
        words = list(GREYS)[index % 3]
        (home / f"{index}.png").write_bytes(picture(GREYS[words]))
        rows.append({"file_name": f"{index}.png", "text": [words, *words.split()]})
    (home / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return home


def test_scraps_of_other_captions_follow_in_their_share(data: Path, tmp_path: Path) -> None:
    """Behind the caption, which stays whole; what is at a place does not depend on how batches are cut."""
    config = apply_settings(RunConfig(), [f"data.path={data}", "training.samples=32", *SETTINGS])
    batches = assemble(config, prepare(config, tmp_path), "cpu")[2]
    plain = ReadingBatches(batches)(0, 48).x0
    for noise, low, high in ((0.0, 0.0, 0.0), (0.5, 0.3, 0.7), (1.0, 1.0, 1.0)):
        strewn = ReadingBatches(batches, noise)
        whole = strewn(0, 48).x0
        assert torch.equal(whole, torch.cat([strewn(0, 30).x0, strewn(30, 18).x0]))
        own = plain[..., 1:2] >= 0
        assert torch.equal(torch.where(own, whole, 0), torch.where(own, plain, 0))
        longer = (whole[..., 1] >= 0).sum(1) > (plain[..., 1] >= 0).sum(1)
        assert low <= float(longer.double().mean()) <= high


@dataclass
class Watch:
    """An observer that stops a stage by SIGTERM after so many samples, and keeps where each began."""

    reader: int | None = None
    denoiser: int | None = None
    begun: list[tuple[str, int]] = field(default_factory=list)

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        self.begun.append(("denoiser" if state.loss.trained is model.denoiser else "reader", state.seen))

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if state.seen == {"reader": self.reader, "denoiser": self.denoiser}[self.begun[-1][0]]:
            os.kill(os.getpid(), signal.SIGTERM)


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    train(data, home / "run", samples=4096, settings=[*SETTINGS, "reading.samples=1024"])
    return home / "run"


def test_the_denoiser_sees_what_words_let_expect(trained: Path, data: Path) -> None:
    """The sketch of each caption has its grey, and so have samples; the reader stays as its stage left it."""
    model = Model.load(trained)
    assert isinstance(model.denoiser, Regression)
    assert model.denoiser.sketch is not None
    assert model.card["reading"]["sketched"] == len(Pack.open(trained / "data")) == 24
    reader = model.conditioners["caption"]
    for words in GREYS:
        with torch.no_grad():
            sketch = model.denoiser.sketch(reader(reader.encode([words])).vector)
        known = model.modality.decode(np.stack([_pixels(data, words)])).mean()
        assert float(sketch.mean()) == pytest.approx(float(known), abs=0.2)
        assert float(model.sample(8, prompt=words).data.mean()) == pytest.approx(float(known), abs=0.35)


def _pixels(data: Path, words: str) -> np.ndarray:
    from PIL import Image

    with Image.open(data / f"{list(GREYS).index(words)}.png") as opened:
        return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)


def test_a_run_stopped_in_either_stage_ends_in_the_same_bits(data: Path, tmp_path: Path) -> None:
    config = apply_settings(RunConfig(), [f"data.path={data}", "training.samples=160", *SETTINGS])
    run(config, tmp_path / "whole")
    watches = [Watch(reader=64), Watch(denoiser=96), Watch()]
    for watch in watches[:2]:
        with pytest.raises(InterruptedRunError):
            run(config, tmp_path / "parts", resume=watch is not watches[0], observer=watch)
    model = run(config, tmp_path / "parts", resume=True, observer=watches[2])
    assert (model.card["reading"]["samples_seen"], model.card["reading"]["sketched"]) == (160, 24)
    assert [watch.begun for watch in watches] == [[("reader", 0)], [("reader", 64), ("denoiser", 0)], [("denoiser", 96)]]
    whole, parts = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())


def test_going_on_from_a_model_that_sketches(trained: Path, data: Path, tmp_path: Path) -> None:
    """It learns to read the new captions too, and sketches from the new samples."""
    (tmp_path / "data").mkdir()
    for name in ("0.png", "1.png", "metadata.jsonl"):
        (tmp_path / "data" / name).write_bytes((data / name).read_bytes())
    settings = ["reading.samples=32", "reading.batch=16"]
    model = train(tmp_path / "data", tmp_path / "run", start=trained, samples=64, settings=settings)
    assert (model.card["reading"]["samples_seen"], model.card["reading"]["sketched"]) == (32, 2)


def test_time_is_shared_between_the_stages() -> None:
    """A tenth of the minutes for reading; where samples are counted it sees as many as the denoiser."""
    config = apply_settings(RunConfig(), ["training.minutes=30"])
    parts = codec_stage(config), reading_stage(config), denoiser_stage(config, codec=True, reading=True)
    assert sum(part.minutes or 0.0 for part in parts) == pytest.approx(30)
    assert parts[1].minutes == pytest.approx(3)
    assert denoiser_stage(config, codec=False, reading=True).minutes == pytest.approx(27)
    assert reading_stage(apply_settings(RunConfig(), ["training.samples=500"])).samples == 500


@pytest.mark.parametrize(("setting", "words"), [
    ("denoiser.sketch=-1", r"denoiser\.sketch = -1: expected the rank"), ("reading.share=0.9", "leave no time to denoise"),
    ("reading.batch=1", r"reading\.batch: expected at least 2, got 1"),
])  # fmt: skip
def test_what_is_refused_leaves_no_run_behind(setting: str, words: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        train(data, tmp_path / "run", samples=32, settings=[*SETTINGS, setting])
    assert not (tmp_path / "run" / "config.toml").exists()
