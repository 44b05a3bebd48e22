"""A model of films from folder to file: what every command says and leaves."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from commands import call
from pellucid.core.errors import UnsupportedError, UserError
from pellucid.evaluation.evaluate import evaluate
from pellucid.modalities.video import Video
from pellucid.model.filling import fill
from pellucid.model.model import Model
from pellucid.model.rolling import roll_on
from pellucid.training.train import train
from test_film import animate, encode, shades

FRAMES, SIDE = 6, 8
SMALL = (f"modality.frames={FRAMES}", "network.channels=[8,16]", "training.batch=8", "training.evaluate=false",
         "training.warmup=16")  # fmt: skip


def bars(down: bool, place: int) -> np.ndarray:
    """A bar that moves down or up by a row each frame, around the edge, (2 FRAMES, SIDE, SIDE, 3)."""
    film = np.zeros((2 * FRAMES, SIDE, SIDE, 3), np.uint8)
    for frame in range(len(film)):
        film[frame, (place + (frame if down else -frame)) % SIDE] = 255
    return film


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars that go up and down, 8 of each, with captions; and a model that has hardly trained on them."""
    home, rows = tmp_path_factory.mktemp("films"), []
    for label in ("down", "up"):
        for place in range(SIDE):
            name = f"{label}/{place}.webp"
            animate(home / "bars" / name, bars(label == "down", place))
            rows.append({"file_name": name, "label": label, "text": f"a bar going {label}"})
    (home / "bars" / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    train(home / "bars", home / "run", samples=64, settings=SMALL)
    return home


def test_the_model_file_keeps_everything(home: Path) -> None:
    model = Model.load(home / "run")
    assert isinstance(model.modality, Video)
    assert (model.modality.rate, model.modality.frames, model.facts.labels) == (10.0, FRAMES, ("down", "up"))
    assert model.facts.forced
    assert not model.facts.given
    assert model.config.network["factorised"]
    for name in ("samples.png", "samples.webp", "training.png", "journey.gif"):
        assert (home / "run" / "pictures" / name).is_file()
    with Pillow.open(home / "run" / "pictures" / "samples.webp") as film:
        assert film.n_frames == FRAMES  # type: ignore[attr-defined]


def test_a_rate_that_is_asked_for(home: Path, tmp_path: Path) -> None:
    """What is set stands above what the data would decide, and the model keeps it."""
    train(home / "bars", tmp_path / "run", samples=8, settings=(*SMALL, "modality.rate=5"))
    model = Model.load(tmp_path / "run")
    assert isinstance(model.modality, Video)
    assert model.modality.rate == 5.0
    assert model.sample(1, steps=2).data.shape == (1, 3, FRAMES, SIDE, SIDE)


def test_samples_are_films(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = call(f"sample {home / 'run'} -n 3 --label up --prompt bar --steps 3 --out {tmp_path / 'made'} -q", capsys)
    assert code == 0, out
    with Pillow.open(tmp_path / "made" / "000002.webp") as film:
        assert (film.n_frames, film.size) == (FRAMES, (SIDE, SIDE))  # type: ignore[attr-defined]
    for name in ("all.mp4", "all.webm", "all.gif", "sheet.png", "all.npy"):
        code, _, err = call(f"sample {home / 'run'} -n 2 --steps 2 --out {tmp_path / name} -q", capsys)
        assert code == 0, err
        assert (tmp_path / name).stat().st_size
    code, _, err = call(f"sample {home / 'run'} -n 2 --out {tmp_path / 'b.mid'}", capsys)
    assert code == 2
    assert "no such format as '.mid'" in err


def test_a_film_goes_on(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was there stays, at the model's size and rate; as many frames more as asked; a longer wish begins alike."""
    model, film = Model.load(home / "run"), animate(tmp_path / "a.webp", bars(True, 0))
    made = roll_on(model, film, 9, n=2, steps=3)
    stored = model.modality.encode(made.data)
    assert stored.shape == (2, 3, 2 * FRAMES + 9, SIDE, SIDE)
    np.testing.assert_array_equal(stored[:, :, : 2 * FRAMES], np.stack([bars(True, 0).transpose(3, 0, 1, 2)] * 2))
    assert (stored[0] != stored[1]).any()
    shorter = model.modality.encode(roll_on(model, film, 3, n=2, steps=3).data)
    np.testing.assert_array_equal(shorter, stored[:, :, : 2 * FRAMES + 3])
    assert made.nfe > shorter.shape[2] / FRAMES
    code, out, err = call(f"continue {home / 'run'} {film} -l 4 --steps 2 --out {tmp_path / 'on.mp4'}", capsys)
    assert code == 0, err
    assert "4 frames after 12" in out
    assert "8 x 8 at 10 a second is seen as 12 frames of 8 x 8 at 10" in out
    assert (tmp_path / "on.mp4").is_file()


@pytest.mark.parametrize("count", [1, 2])
def test_from_a_frame_or_two(home: Path, count: int) -> None:
    """Less than a window is enough: what came before is imagined and thrown away."""
    model = Model.load(home / "run")
    known = np.full((3, 7, SIDE, SIDE), np.nan)
    known[:, :count] = shades(count, SIDE).transpose(3, 0, 1, 2)
    made = fill(model, known, n=1, steps=2)
    assert made.shape == (1, 3, 7, SIDE, SIDE)
    np.testing.assert_array_equal(made[0, :, :count], known[:, :count])
    assert np.isfinite(made).all()


def test_known_frames_come_back(home: Path) -> None:
    model = Model.load(home / "run")
    known = torch.full((3, FRAMES, SIDE, SIDE), torch.nan)
    known[:, [0, 3]] = 0.25
    made = model.sample(3, known=known, label="up", guidance=2.0, steps=3, batch=2)
    assert (made.data[:, :, [0, 3]] == 0.25).all()
    again = model.sample(1, known=known, label="up", guidance=2.0, steps=3)
    torch.testing.assert_close(made.data[:1], again.data, atol=1e-5, rtol=0)


def test_training_resumes_to_the_bit(home: Path, tmp_path: Path) -> None:
    train(home / "bars", tmp_path / "run", samples=32, settings=(*SMALL, "training.checkpoint_samples=16"))
    whole = Model.load(tmp_path / "run").tensors()
    run = tmp_path / "run"
    (run / "model.safetensors").unlink()
    last = sorted((run / "checkpoints").iterdir())
    last[-1].unlink()
    train(None, run, resume=True)
    for name, value in Model.load(run).tensors().items():
        assert torch.equal(value, whole[name]), name


def test_films_are_measured(home: Path) -> None:
    """Real bars against the model's noise, all frames at once."""
    found = evaluate(Model.load(home / "run"), home / "bars", n=16, steps=2)
    assert found.metrics["frechet" if "frechet" in found.metrics else "kernel"].value > 0


@pytest.mark.parametrize(("words", "message"), [
    ("-l 3 --out {0}/a.csv", "is no format of a film"),
    ("-l 3 --out {0}/on.mid", "no such format as '.mid'"),
    ("-l 3 --out {0}/a.webp", "is the input itself"),
    ("-l 99999999 --out {0}/b.mp4", "do not fit: ask for fewer"),
    ("-l 3 --quantiles 0.5 --out {0}/b.mp4", "a film has none"),
    ("-l 3 --label sideways --out {0}/b.mp4", "Unknown label 'sideways'"),
])  # fmt: skip
def test_refusals(home: Path, tmp_path: Path, words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    film = animate(tmp_path / "a.webp", bars(True, 0))
    code, _, err = call(f"continue {home / 'run'} {film} {words.format(tmp_path)}", capsys)
    assert (code, message in err) == (2, True), err


def test_input_that_is_no_film(home: Path, tmp_path: Path) -> None:
    model, empty = Model.load(home / "run"), tmp_path / "a.mp4"
    empty.write_bytes(b"")
    with pytest.raises(UserError, match=r"Cannot read '.*a\.mp4' as a film: an empty file"):
        roll_on(model, empty, 3)
    with pytest.raises(UserError, match="There is no file"):
        roll_on(model, tmp_path / "none.mp4", 3)
    assert roll_on(model, encode(tmp_path / "b.mp4", shades(8, 32)), 2, steps=2).data.shape[2] == 10


def test_models_that_cannot_go_on(home: Path, tmp_path: Path) -> None:
    train(home / "bars", tmp_path / "run", samples=8, settings=(*SMALL, "loss.forcing=0"))
    with pytest.raises(UnsupportedError, match=r"loss\.forcing above 0"):
        roll_on(Model.load(tmp_path / "run"), animate(tmp_path / "a.webp", bars(True, 0)), 3)
    with pytest.raises(UnsupportedError, match=r"loss\.fourier compares whole samples"):
        train(home / "bars", tmp_path / "other", samples=8, settings=(*SMALL, "loss.fourier=0.1"))
    Pillow.fromarray(bars(True, 0)[0]).save(tmp_path / "p.png")
    with pytest.raises(UserError, match="three: time, height and width"):
        train(tmp_path / "p.png", tmp_path / "third", samples=8, settings=("network.factorised=true",))
