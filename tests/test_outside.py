"""What is unlike the training data is said to be so, and what is like it is not, but for one in a hundred."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from pellucid.cli.app import _run as main
from pellucid.evaluation.outside import flagged, likeness, picture_warning
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run

SMALL = ("network.name=mlp", "network.width=64", "network.depth=2", "training.batch=32", "optimiser.learning_rate=0.003")


def waves(count: int, seed: int) -> np.ndarray:
    """Smooth pictures of 8 x 8, in bytes."""
    drawn = np.random.default_rng(seed)
    y, x = np.mgrid[:8, :8]
    fx, fy, phase = drawn.uniform(0, 0.8, count), drawn.uniform(0, 0.8, count), drawn.uniform(0, 6.3, count)
    found = np.sin(fx[:, None, None] * x + fy[:, None, None] * y + phase[:, None, None])
    return np.asarray(127 + 100 * found, dtype=np.uint8)[..., None]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of waves."""
    torch.set_num_threads(1)
    home = tmp_path_factory.mktemp("outside")
    np.save(home / "waves.npy", waves(2000, 0))
    np.save(home / "others.npy", waves(400, 1))
    np.save(home / "noise.npy", np.random.default_rng(2).integers(0, 255, (100, 8, 8, 1)).astype(np.uint8))
    settings = [f"data.path={home / 'waves.npy'}", *SMALL, "training.samples=9600", "training.held_out=200"]
    run(apply_settings(RunConfig(), settings), home / "run")
    return home


def test_noise_is_flagged_and_other_waves_are_not(home: Path) -> None:
    model = Model.load(home / "run")
    like, unlike = (likeness(model, np.moveaxis(np.load(home / f"{name}.npy"), -1, 1)) for name in ("others", "noise"))
    assert like is not None
    assert unlike is not None
    assert flagged(model, unlike).mean() > 0.95
    assert flagged(model, like).mean() < 0.04  # one in a hundred, of 400
    assert 0.35 < like.mean() < 0.65  # p is uniform
    assert abs(np.mean(like <= 0.25) - 0.25) < 0.1


def test_the_commands_say_it(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, most in (("noise", range(60, 65)), ("others", range(4))):
        words = ["likelihood", str(home / "run"), str(home / f"{name}.npy"), "--method", "elbo", "--steps", "4", "--json"]
        assert main(words) == 0
        assert json.loads(capsys.readouterr().out)["unlike"] in most
    for name, said in (("noise", True), ("others", False)):
        Pillow.fromarray(np.load(home / f"{name}.npy")[0, ..., 0]).save(tmp_path / f"{name}.png")
        words = ["edit", str(home / "run"), str(tmp_path / f"{name}.png"), "--strength", "0.5", "--steps", "2"]
        assert main([*words, "--out", str(tmp_path / "out.png")]) == 0
        told = capsys.readouterr()
        assert ("unlike what the model was trained on" in told.out + told.err) is said


def test_a_model_with_nothing_held_out_says_nothing(home: Path, tmp_path: Path) -> None:
    settings = [f"data.path={home / 'others.npy'}", *SMALL, "training.samples=64"]
    model = run(apply_settings(RunConfig(), settings), tmp_path / "run")
    assert likeness(model, np.zeros((2, 1, 8, 8), np.uint8)) is None
    Pillow.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    assert picture_warning(model, tmp_path / "black.png") is None
