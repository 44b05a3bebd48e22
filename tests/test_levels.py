"""Errors by noise level: the floor is that of the exact denoiser, whatever way the data comes, and nobody falls below it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from pellucid.core.items import Item
from pellucid.core.random import Key
from pellucid.core.shapes import mean_per_sample
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.denoisers.dataset import Dataset
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Posterior
from pellucid.evaluation import levels
from pellucid.evaluation.floor import exact_mean
from pellucid.evaluation.history import History
from pellucid.evaluation.levels import Levels, measure_levels
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.schedules.cosine import Cosine
from pellucid.schedules.rectified import Rectified
from pellucid.training.train import train


def pieces(points: Tensor, labels: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return [(points[i : i + size], labels[i : i + size]) for i in range(0, len(points), size)]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_streamed_mean_is_that_of_the_exact_denoiser(size: int, seed: int) -> None:
    """At any noise level, in pieces of any size, over all points or over those of each sample's label."""
    points = Key(seed, "points").normal(range(9), (2, 3))
    labels = torch.arange(9) % 2
    process = Gaussian(schedule=Cosine())
    t = Key(seed, "times").uniform(range(6))
    asked = torch.arange(6) % 2
    x_t = process.corrupt(points[:6], t, Key(seed, "noise").normal(range(6), (2, 3)))
    mean, shared = exact_mean(x_t, t, process.schedule, pieces(points, labels, size))
    torch.testing.assert_close(mean, Dataset(process, points=points)(x_t, t).mean, rtol=1e-9, atol=1e-9)
    assert ((shared > 1 - 1e-9) & (shared < 9 + 1e-9)).all()
    mean, shared = exact_mean(x_t, t, process.schedule, pieces(points, labels, size), asked)
    for label in (0, 1):
        known = Dataset(process, points=points[labels == label])
        torch.testing.assert_close(mean[asked == label], known(x_t[asked == label], t[asked == label]).mean)
    assert (shared < 5 + 1e-9).all()


def test_effective_number_counts_the_points_that_share_the_weight() -> None:
    """All points alike far from them; exactly one close to it; two when it is there twice."""
    points = torch.tensor([[0.0], [0.0], [4.0], [8.0]])
    schedule, labels = Rectified(), torch.zeros(4)
    _, far = exact_mean(torch.zeros(1, 1), torch.tensor([1 - 1e-9]), schedule, pieces(points, labels, 3))
    _, near = exact_mean(torch.tensor([[3.6], [0.0]]), torch.tensor([0.1, 0.1]), schedule, pieces(points, labels, 3))
    assert far.tolist() == pytest.approx([4.0], rel=1e-6)
    assert near.tolist() == pytest.approx([1.0, 2.0], rel=1e-6)


class Exact(Denoiser):
    """The exact denoiser of a pack, with labels or without; `worse` adds that much error to every element."""

    def __init__(self, model: Model, pack: Pack, worse: float = 0.0) -> None:
        super().__init__(model.denoiser.process)
        self.points, self.labels = model.modality.decode(np.asarray(pack.samples)).double(), torch.tensor(pack.labels)
        self.worse = worse

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:
        class Found(Posterior):
            mean = exact_mean(
                x_t, t.expand(len(x_t)), self.process.schedule, [(self.points, self.labels)], cond["label"] if cond else None
            )[0] + self.worse  # fmt: skip

        return Found()


def packed(folder: Path, count: int = 60) -> Pack:
    rng = np.random.default_rng(0)
    data = rng.integers(0, 256, (count, 1, 3, 3), dtype=np.uint8)
    return write_pack((Item(source="", data=data[i], label="ab"[i % 2]) for i in range(count)), folder)


def model_of(pack: Pack, labels: tuple[str, ...] = (), **config: Any) -> Model:
    facts = Facts(shape=pack.shape, labels=labels, mean=0.0, std=0.58)
    return Model.create(ModelConfig(network={"name": "mlp", "width": 8, "depth": 1}, **config), facts)


@pytest.mark.parametrize("labels", [(), ("a", "b")])
def test_the_exact_denoiser_lies_on_the_floor(
    tmp_path: Path, labels: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does by definition; an error added to it shows as exactly that, squared, on average."""
    monkeypatch.setattr(levels, "PIECE", 7 * 9)
    pack = packed(tmp_path / "pack")
    model = model_of(pack, labels)
    model.denoiser = Exact(model, pack)
    found = measure_levels(model, pack, seconds=60)
    assert found.floor is not None
    assert found.n == len(pack)
    np.testing.assert_allclose(found.loss, found.floor, atol=1e-12)
    assert found.above_floor == pytest.approx(0, abs=1e-9)
    model.denoiser = Exact(model, pack, worse=0.1)
    worse = measure_levels(model, pack, seconds=60)
    reach = 2 * 0.1 * np.sqrt(found.floor / len(pack)) * 4  # of the cross term, four standard deviations
    assert (np.abs(worse.loss - worse.floor - 0.01) < reach + 1e-12).all()


def test_floor_of_two_far_points_is_the_known_integral(tmp_path: Path) -> None:
    """Black and white, one pixel each, are ±1: E[x0 | x_t] = tanh(alpha x_t / sigma²), and the floor E[1 - tanh²]."""
    data = np.array([0, 255] * 128, dtype=np.uint8).reshape(-1, 1, 1, 1)
    pack = write_pack((Item(source="", data=row) for row in data), tmp_path / "pack")
    found = measure_levels(model_of(pack), pack, seconds=60)
    assert found.floor is not None
    assert found.points is not None
    snr = np.exp(found.log_snr)
    z, weight = np.polynomial.hermite_e.hermegauss(101)
    mean = np.tanh(snr[:, None] + np.sqrt(snr)[:, None] * z)
    known = ((1 - mean) ** 2 * weight).sum(1) / weight.sum()
    scatter = np.sqrt((((1 - mean) ** 4 * weight).sum(1) / weight.sum() - known**2).clip(0) / found.n)
    assert (np.abs(found.floor - known) < 4 * scatter + 1e-9).all()
    assert found.points[0] == pytest.approx(256, rel=0.01)
    assert found.points[-1] == pytest.approx(128, rel=1e-6)  # each colour is there 128 times


def test_no_model_falls_below_the_floor(tmp_path: Path) -> None:
    """A fresh network: never lower than four standard errors below it."""
    pack = packed(tmp_path / "pack")
    found = measure_levels(model_of(pack), pack, seconds=60)
    assert found.floor is not None
    assert (found.loss > found.floor - 4 * found.error).all()
    assert found.above_floor is not None
    assert found.above_floor > 0


def test_levels_repeat_and_hardly_depend_on_the_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack = packed(tmp_path / "pack")
    model = model_of(pack, ("a", "b"))
    first = measure_levels(model, pack, seconds=60)
    monkeypatch.setattr(levels, "ROUND", 20)
    again = measure_levels(model, pack, seconds=60)
    np.testing.assert_allclose(first.loss, again.loss, rtol=1e-4)
    np.testing.assert_allclose(first.floor, again.floor, rtol=1e-9, atol=1e-30)


@pytest.mark.parametrize("name", schedules)
def test_levels_rise_within_every_schedule(tmp_path: Path, name: str) -> None:
    pack = packed(tmp_path / "pack", 8)
    model = model_of(pack)
    model.denoiser.process = Gaussian(schedule=schedules[name].example())
    found = measure_levels(model, pack, seconds=0)
    assert (np.diff(found.log_snr) > 0).all()
    assert np.isfinite(found.log_snr).all()
    assert np.isfinite(found.loss).all()
    assert found.n == 8
    assert len(found.log_snr) == levels.LEVELS


def test_what_is_not_known_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No floor for noise that is not Gaussian, nor where reading all data would take too long."""
    pack = packed(tmp_path / "pack", 40)
    chain = model_of(
        pack, schedule={"name": "additive", "steps": 10}, process={"name": "additive", "noise_kind": "uniform"}
    )
    assert measure_levels(chain, pack, seconds=0).floor is None
    monkeypatch.setattr(levels, "PIECE", 9)
    monkeypatch.setattr(levels, "SHORTEST", 1e-9)
    slow = measure_levels(model_of(pack), pack, seconds=0)
    assert slow.floor is None
    assert slow.above_floor is None
    assert slow.as_event()["floor"] is None
    assert len(slow.loss) == levels.LEVELS


def test_hidden_part_is_where_points_share_the_weight() -> None:
    curves = {"log_snr": np.arange(4.0), "loss": np.array([3.0, 2.0, 1.0, 0.5]), "error": np.zeros(4)}
    floor, points = np.array([2.0, 1.0, 0.5, 0.0]), np.array([9.0, 2.0, 1.9, 1.0])
    found = Levels(**curves, floor=floor, points=points, n=1)
    assert found.hidden_below == 1.0
    assert found.above_floor == pytest.approx(5 / 3 - 1)
    assert Levels(**curves, floor=floor, points=np.ones(4), n=1).above_floor is None


def test_a_run_ends_with_its_levels_and_shows_its_data(pictures: Path, tmp_path: Path) -> None:
    """In the log and the report; a run that is resumed at its end shows one curve, not two of the same."""
    run = tmp_path / "run"
    quick = ["network.name=mlp", "network.width=8", "network.depth=1", "training.batch=16", "sampling.steps=2"]
    model = train(pictures, run, samples=32, settings=quick)
    train(pictures, run, resume=True)
    event = History.read(run / "log.jsonl").kind("levels")[-1]
    again = measure_levels(model, Pack.open(run / "data"), seconds=0)
    assert event["n"] >= again.n == levels.ROUND
    assert event["log_snr"] == again.log_snr.tolist()
    assert event["above_floor"] == pytest.approx(again.above_floor, rel=0.5)
    page = (run / "report.html").read_text()
    assert "Error by noise level" in page
    assert "Examples, spread over the data" in page
    assert not re.search('class="key early"', page)
    with Image.open(run / "pictures" / "training.png") as picture:
        assert picture.width > 3 * 8


def test_floor_is_the_error_of_the_dataset_denoiser(tmp_path: Path) -> None:
    """Measured by hand with `Dataset` on the same noise."""
    pack = packed(tmp_path / "pack", 8)
    model = model_of(pack)
    found = measure_levels(model, pack, seconds=0)
    process = model.denoiser.process
    points = model.modality.decode(np.asarray(pack.samples)).double()
    known = Dataset(process, points=points)
    ids = levels.stream(0, 8, 0, 8)
    for level, t in enumerate(process.schedule.time_at(torch.tensor(found.log_snr))):
        eps = levels.Keyed(0, ids).normal("levels", level, pack.shape)
        by_hand = mean_per_sample((known(process.corrupt(points[ids], t, eps), t).mean - points[ids]) ** 2).mean()
        assert found.floor is not None
        assert found.floor[level] == pytest.approx(float(by_hand), rel=1e-4, abs=1e-9)
