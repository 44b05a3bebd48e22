"""A model of sounds from folder to file: what every command says and leaves."""

from pathlib import Path

import numpy as np
import pytest
import torch

from commands import call
from pellucid.codecs.loudness import Loudness
from pellucid.core.errors import UserError
from pellucid.evaluation import classifier
from pellucid.evaluation.evaluate import evaluate
from pellucid.model.model import Model
from pellucid.training.train import train

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE, LENGTH = 8000, 2048
SMALL = ("network.name=mlp", "network.width=32", "network.depth=1", "training.batch=16", "training.evaluate=false",
         "codec.window=64", "codec.hop=16")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two kinds of tones, 24 of each, and a model that has hardly trained on them."""
    home = tmp_path_factory.mktemp("sound")
    at, rng = np.arange(LENGTH) / RATE, np.random.default_rng(0)
    for name, hertz in (("low", 300), ("high", 1500)):
        for place in range(24):
            file = home / "tones" / name / f"{place}.wav"
            file.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(file, rng.uniform(0.2, 0.8) * np.sin(2 * np.pi * hertz * at + rng.uniform(0, 6)), RATE)
    train(home / "tones", home / "run", samples=64, settings=SMALL)
    return home


def test_the_model_file_keeps_everything(home: Path) -> None:
    """Rate, labels, and the spectrogram's scales, which the data settled: unit variance is what is diffused."""
    model = Model.load(home / "run")
    assert (model.modality.rate, model.facts.labels, model.facts.std) == (RATE, ("high", "low"), 1.0)  # type: ignore[attr-defined]
    assert isinstance(model.codec, Loudness)
    assert model.codec.spread.std() > 0
    assert (home / "run" / "pictures" / "samples.png").is_file()
    assert soundfile.info(home / "run" / "pictures" / "samples.wav").samplerate == RATE
    assert "modality" in (home / "run" / "config.toml").read_text()


def test_samples_are_sounds(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(f"sample {home / 'run'} -n 3 --label low --steps 4 --out {tmp_path / 'made'} -q", capsys)
    assert code == 0, out
    heard, rate = soundfile.read(tmp_path / "made" / "000002.wav")
    assert (rate, len(heard)) == (RATE, LENGTH)
    for name in ("all.flac", "all.ogg", "sheet.png", "all.npy"):
        code, _, err = call(f"sample {home / 'run'} -n 2 --steps 2 --out {tmp_path / name} -q", capsys)
        assert code == 0, err
    journey = f"--journey {tmp_path / 'j.gif'}"
    assert call(f"sample {home / 'run'} -n 2 --steps 2 --out {tmp_path / 'b.wav'} {journey} -q", capsys)[0] == 0
    code, _, err = call(f"sample {home / 'run'} -n 2 --out {tmp_path / 'b.mid'}", capsys)
    assert code == 2
    assert "no such format as '.mid'" in err


def test_samples_are_measured_on_spectrograms(home: Path) -> None:
    """Real tones against the model's noise: told apart, and the features know nothing of phase."""
    model = Model.load(home / "run")
    found = evaluate(model, home / "tones", n=24, steps=2)
    assert found.features == "fixed"
    frechet = found.metrics["frechet"]
    assert frechet.value > 0
    seen = model.modality.view(torch.sin(torch.arange(LENGTH) / RATE * 2 * torch.pi * 300)[None, None] / 2)
    moved = model.modality.view(torch.cos(torch.arange(LENGTH) / RATE * 2 * torch.pi * 300)[None, None] / 2)
    assert (seen[..., 8:-8] - moved[..., 8:-8]).abs().mean() < 0.02


def test_a_classifier_hears_them_apart(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It learns from spectrograms at their full height, and is right about tones that it was not trained on."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(classifier, "STEPS_LEAST", 40)
    found = evaluate(Model.load(home / "run"), home / "tones", n=24, steps=2, features="classifier")
    assert found.metrics["agreement"].floor == 1.0


def test_what_train_says(home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, err = call(f"data show {home / 'tones'} --out {tmp_path / 'd.png'}", capsys)
    assert code == 0
    assert "48 of 1 x 2048 (channels x values)" in out
    assert "2,048 samples at 8,000 Hz, 0.26 s, mono" in out + err


def test_a_length_that_does_not_fit_is_one_message(home: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"A spectrogram of 1000 samples: expected a multiple of codec\.hop = 256"):
        train(home / "tones", tmp_path / "run", samples=16, size=1000)
    train(home / "tones", tmp_path / "raw", samples=16, size=1000, settings=("codec.name=identity", *SMALL[:-2]))
    assert Model.load(tmp_path / "raw").sample(1, steps=2).data.shape == (1, 1, 1000)
