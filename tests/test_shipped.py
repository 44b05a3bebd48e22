"""The model that comes with the package: small enough, and pictures from words right after installing."""

import re
from pathlib import Path

import pytest
from PIL import Image

from pellucid.cli.app import _run
from pellucid.model.files import find_model
from pellucid.model.model import Model

MOST = 20 * 10**6


@pytest.fixture(scope="module")
def model() -> Model:
    return Model.load("emoji")


def test_it_is_small() -> None:
    """Weights of under 20 MB, in the package itself."""
    file = find_model(Path("emoji"))
    assert file.parent.parent.name == "pellucid"
    assert file.stat().st_size < MOST


def test_it_knows_words_and_styles(model: Model) -> None:
    assert model.facts.labels == ("noto", "twemoji")
    assert model.facts.shape == (3, 64, 64)
    assert model.card["data_count"] == 3822


@pytest.mark.parametrize("prompt", ["a photo of a cute cat playing with a ball", "一只戴帽子的猫"])
def test_pictures_from_words(
    prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run(["generate", prompt, "--steps", "3", "-o", "output.png"]) == 0
    assert "note" not in capsys.readouterr().out
    with Image.open("output.png") as picture:
        assert picture.size == (64, 64)


def test_a_red_heart_is_red_and_a_green_one_green(model: Model) -> None:
    """Mean colours of four each, as words ask for them."""
    red, green = (model.sample(4, prompt=f"a {colour} heart", steps=8).data.mean((0, 2, 3)) for colour in ("red", "green"))
    assert float(red[0] - red[1]) > float(green[0] - green[1]) + 0.1


def test_words_that_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(["generate", "xyzzy plugh", "--steps", "2", "-o", str(tmp_path / "o.png")]) == 0
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert "'xyzzy plugh' has no word that the model knows" in said
