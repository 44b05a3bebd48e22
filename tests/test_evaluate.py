"""Evaluating models: neighbours against brute force, copies found, real data at its floor; the command; the end of a run."""

import gzip
import json
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from pellucid.cli import main
from pellucid.core.errors import DataError, UserError
from pellucid.data.write import write_pack
from pellucid.evaluation.closest import Closest
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.history import History
from pellucid.evaluation.nearest import nearest
from pellucid.evaluation.source import Source
from pellucid.metrics import shares
from pellucid.metrics.result import Result
from pellucid.modalities.image import Image
from pellucid.model.model import Model
from pellucid.model.samples import Samples
from pellucid.training.measure import flags, measure
from pellucid.training.train import train

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist" / "t10k-images-idx3-ubyte.gz"
SETTINGS = (
    "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "sampling.steps=2",
    "training.evaluate=false",
)  # fmt: skip
METRICS = {"frechet", "kernel", "precision", "recall", "density", "coverage", "closeness"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """2,000 pictures of clothes."""
    folder = tmp_path_factory.mktemp("source")
    pixels = np.frombuffer(gzip.decompress(FASHION.read_bytes()), np.uint8, offset=16).reshape(-1, 28, 28)[:2000]
    np.save(folder / "x.npy", pixels)
    return Source(write_pack(Image().read(folder / "x.npy"), folder / "pack"), Image())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny run on 96 pictures of three unequal classes."""
    folder = tmp_path_factory.mktemp("run")
    pixels = np.random.default_rng(0).integers(0, 256, (96, 8, 8), dtype=np.uint8)
    np.savez(folder / "x.npz", images=pixels, labels=np.array(["a", "b", "c"])[np.arange(96) ** 2 % 7 % 3])
    train(folder / "x.npz", folder / "run", samples=32, settings=SETTINGS)
    return folder / "run"


def every(source: Source, ids: NDArray[np.int64]) -> Tensor:
    return torch.cat(list(source.blocks(ids)))


def test_neighbours_equal_brute_force(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.evaluation.nearest.NUMBERS", 300 * 784)  # several blocks
    queries = every(source, np.arange(40)) * 0.9
    data = every(source, np.arange(2000)).flatten(1).double().numpy()
    tree = NearestNeighbors(n_neighbors=4, algorithm="brute").fit(data)
    distances, ids = tree.kneighbors(queries.flatten(1).double().numpy())
    found = nearest(queries, source, 4)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.distances, distances / 28, rtol=1e-9)


def test_a_sample_of_the_data_is_its_own_neighbour_unless_left_out(source: Source) -> None:
    ids = np.array([3, 77, 1999])
    own = nearest(every(source, ids), source, 2)
    assert (own.ids[:, 0] == ids).all()
    assert (own.distances[:, 0] == 0).all()
    assert (own.scores == 0).all()
    others = nearest(every(source, ids), source, 2, own=ids)
    np.testing.assert_array_equal(others.ids[:, 0], own.ids[:, 1])


def closeness_of(source: Source, samples: Tensor) -> Any:
    ids = source.choose(500, 1)
    real = nearest(every(source, ids), source, 10, own=ids)
    return shares["closeness"](nearest(samples, source, 10).scores, real.scores)


def test_copies_are_found_and_smoothness_is_not_taken_for_copying(tmp_path: Path, source: Source) -> None:
    """Held-out pictures are at chance, copies with noise far above it, and means of two neighbours, nearer to the data in
    plain distance than real ones, not above it by much."""
    half = np.arange(1000)
    pixels = np.asarray(source.pack.samples)
    np.save(tmp_path / "x.npy", pixels[:1000, 0])
    known = Source(write_pack(Image().read(tmp_path / "x.npy"), tmp_path / "pack"), Image())
    held_out = every(source, 1000 + half[:500])
    fresh = closeness_of(known, held_out)
    assert fresh.low <= 0.05 <= fresh.high
    noisy = every(known, half[:500]) + 0.05 * torch.randn(500, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert closeness_of(known, noisy).low > 0.9
    assert closeness_of(known, torch.cat([noisy[:100], held_out[:400]])).low > 0.15
    blurred = torch.nn.functional.avg_pool2d(held_out, 3, 1, 1)
    assert closeness_of(known, blurred).value < 0.1


def test_sheet_shows_each_sample_beside_its_neighbours(tmp_path: Path, source: Source) -> None:
    ids = np.arange(30)
    samples = every(source, ids) * torch.linspace(0.5, 1, 30)[:, None, None, None]  # the last ones are the closest
    found = nearest(samples, source, 5)
    closest = Closest.of(samples, source, found)
    assert closest.samples.shape == (10, 4, 1, 28, 28)
    first = int(found.scores.argmin())
    np.testing.assert_array_equal(closest.samples[0, 1], source.pack.samples[first])
    assert closest.distances[0, 0] == found.distances[first, 0]
    closest.save(tmp_path / "nearest.png")
    with Pillow.open(tmp_path / "nearest.png") as picture:
        assert picture.height > 2 * picture.width


def test_every_figure_has_its_n_interval_and_floor(run: Path) -> None:
    model = Model.load(run)
    found = evaluate(model, run / "data", n=60, seed=3)
    assert set(found.metrics) == METRICS
    for result in found.metrics.values():
        assert result.low <= result.value <= result.high
        assert result.floor is not None
    assert {result.n for result in found.metrics.values()} == {60, 48}  # manifolds: half of the data
    assert (found.features, found.accuracy, found.n, found.n_real, found.trained_on) == ("fixed", None, 60, 96, True)
    assert found.nearest.ids.shape == (60, 10)
    assert "rough" in " ".join(found.notes)
    again = evaluate(model, run / "data", n=60, seed=3, batch=7)
    assert again.metrics == found.metrics
    json.dumps(found.everything)


def test_labels_come_in_the_proportion_of_the_data(run: Path) -> None:
    model = Model.load(run)
    found = evaluate(model, run / "data", n=50)
    counts = {name: (found.samples.labels or ()).count(name) for name in model.facts.labels}
    data = json.loads((run / "summary.json").read_text())["data"]["labels"]
    assert counts == {name: pytest.approx(50 * count / 96, abs=1) for name, count in data.items()}


class Copying(Model):
    """A model that has learned its data by heart."""

    source: Source

    def sample(self, n: int, **settings: Any) -> Samples:
        x = every(self.source, self.source.choose(n, 5))
        labels = settings["label"]
        return Samples(
            data=x, modality=self.modality, labels=labels and tuple(labels), seed=settings["seed"], nfe=1, seconds=0.1
        )  # fmt: skip


def test_a_model_that_copies_is_exposed(run: Path, source: Source) -> None:
    """Its samples are real ones, so every distribution metric is at its floor; only the nearest neighbours tell."""
    base = Model.load(run)
    facts = base.facts.model_copy(update={"shape": (1, 28, 28), "labels": ()})
    model = Copying(base.config, facts, base.denoiser, base.codec, base.modality)
    model.source = source
    found = evaluate(model, source.pack, n=500)
    figures = found.metrics
    assert figures["closeness"].value == 1
    assert figures["closeness"].floor == pytest.approx(0.05, abs=0.01)
    for name in ("precision", "recall", "coverage", "density"):
        assert figures[name].value == pytest.approx(figures[name].floor, abs=0.07), name
    assert figures["frechet"].value < 1.2 * figures["frechet"].floor  # type: ignore[operator]
    assert (found.nearest.distances[:, 0] == 0).all()


def test_data_that_does_not_fit_is_refused(run: Path, source: Source, tmp_path: Path) -> None:
    model = Model.load(run)
    with pytest.raises(DataError, match=r"shape \(1, 28, 28\); the model makes \(1, 8, 8\)"):
        evaluate(model, source.pack)
    np.save(tmp_path / "few.npy", np.zeros((5, 8, 8), np.uint8))
    with pytest.raises(DataError, match="holds 5 samples; comparing distributions takes at least 20"):
        evaluate(model, tmp_path / "few.npy")
    with pytest.raises(UserError, match="n = 3"):
        evaluate(model, run / "data", n=3)


def command(line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["pellucid", *shlex.split(line)])
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main()
    return int(caught.value.code or 0), *capsys.readouterr()


def test_the_command_prints_a_table_and_adds_to_the_run(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = command(f"evaluate {run} -n 40 --seeds 2 --out {tmp_path}/judged", monkeypatch, capsys)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["value", "95%", "interval", "real", "data", "over", "seeds"]
    assert [line.split("  ")[0] for line in lines[1:8]] == [
        "Fréchet distance", "Kernel distance", "Precision", "Recall", "Density", "Coverage", "Closeness",
    ]  # fmt: skip
    assert "40 generated" in out
    assert "seeds 0, 1, against 96 real" in out
    assert {path.name for path in (tmp_path / "judged").iterdir()} == {"evaluation.json", "nearest.png", "samples.png"}
    told = json.loads((tmp_path / "judged" / "evaluation.json").read_text())
    (event,) = History.read(run / "log.jsonl").kind("evaluation")
    assert event["metrics"] == told["metrics"]
    assert event["samples"] == 32
    assert "Coverage" in (run / "report.html").read_text()
    assert (run / "pictures" / "nearest.png").is_file()


def test_the_command_as_json_and_refused(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = run.parent / "x.npz"
    code, out, _ = command(f"evaluate {run}/model.safetensors --data {data} -n 40 --json", monkeypatch, capsys)
    told = json.loads(out)
    assert code == 0
    assert set(told["metrics"]) == METRICS
    assert len(told["nearest"]["ids"]) == 40
    for line, words in (
        (f"evaluate {run}/model.safetensors", "no run that knows its data: give --data"),
        (f"evaluate {run} --features nothing", "Unknown feature network 'nothing'"),
        (f"evaluate {run} --features inception", "give --weights"),
        (f"evaluate {run} --data {run}/nowhere", "There is no"),
    ):
        code, out, err = command(line, monkeypatch, capsys)
        assert (code, out) == (2, "")
        assert re.search(words, err), err


def test_the_end_of_training_measures_what_it_can_afford(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    model = Model.load(run)
    look = replace(model.sample(4), seconds=4e-3)  # 1.5 ms each with all that comparing costs

    def after(minutes: float) -> str:
        model.card = {**model.card, "minutes": minutes}
        measure(model, run, look, lambda name, text: told.append(f"{name}: {text}"))
        return told[-1]

    assert "not measured: 200 samples take 0" in after(0.01).replace("take 0 s", "take 0")
    assert after(0.055).startswith("quality: Fréchet distance ")
    assert told[-1].endswith("220 samples, features 'fixed'")
    assert History.read(run / "log.jsonl").kind("evaluation")[-1]["n"] == 220
    monkeypatch.setattr("pellucid.training.measure.evaluate", lambda *_, **__: 1 / 0)
    assert after(0.055) == "quality: not measured: division by zero"


def test_copies_and_narrowness_are_flagged() -> None:
    def found(closeness: float, recall: float) -> Any:
        values = {"closeness": (closeness, 0.05), "recall": (recall, 0.9)}
        return SimpleNamespace(metrics={
            name: Result(value=value, low=value - 0.02, high=value + 0.02, floor=floor, n=500)
            for name, (value, floor) in values.items()
        })  # fmt: skip

    assert [name for name, _ in flags(found(0.3, 0.2))] == ["copies", "diversity"]
    assert "30% of samples lie as near to a training sample as 5% of real ones" in dict(flags(found(0.3, 0.9)))["copies"]
    assert not list(flags(found(0.06, 0.7)))
    assert not list(flags(SimpleNamespace(metrics={})))  # type: ignore[arg-type]


def test_training_measures_itself_unless_told_not_to(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Path] = []
    monkeypatch.setattr("pellucid.training.train.measure", lambda model, out, look, tell: seen.append(out))  # noqa: ARG005
    for name, settings in (("on", SETTINGS[:-1]), ("off", SETTINGS)):
        train(pictures, tmp_path / name, samples=16, settings=settings)
    assert seen == [tmp_path / "on"]
