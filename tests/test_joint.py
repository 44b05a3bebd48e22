"""Samples of several parts: reading what belongs together, what is refused, any part given, and a model from end to end."""

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from PIL import Image

from commands import call
from pellucid.core.errors import ConfigError, DataError, UserError
from pellucid.core.items import Item, Rejection
from pellucid.core.random import Keyed
from pellucid.denoisers.regression import Regression
from pellucid.evaluation.held_out import squared_error
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.time import Uniform
from pellucid.losses.weighting import Plain
from pellucid.modalities.joint import Joint
from pellucid.modalities.parts import Picture, Sound, Words
from pellucid.model.model import Model
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules.rectified import Rectified
from pellucid.training.forcing import Forcing
from pellucid.training.train import train

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("soxr")

RATE, LENGTH = 8000, 1000
SMALL = ("modality.window=32", "modality.hop=8", "network.width=32", "network.depth=1", "training.batch=16",
         "training.evaluate=false")  # fmt: skip
WORDS = ("low", "high")


def write(folder: Path, name: str, kind: int, rng: np.random.Generator) -> None:
    """A dark or light picture, a low or high tone, and its name."""
    folder.mkdir(parents=True, exist_ok=True)
    wave = 0.5 * np.sin(2 * np.pi * (300, 1500)[kind] * np.arange(LENGTH) / RATE + rng.uniform(0, 6))
    Image.fromarray(rng.integers(200 * kind, 200 * kind + 50, (8, 8), dtype=np.uint8)).save(folder / f"{name}.png")
    soundfile.write(folder / f"{name}.wav", wave, RATE)
    (folder / f"{name}.txt").write_text(WORDS[kind] + "\n")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """48 triples and a model that has hardly trained on them."""
    home, rng = tmp_path_factory.mktemp("joint"), np.random.default_rng(0)
    for place in range(48):
        write(home / "data", f"{place:02d}", place % 2, rng)
    train(home / "data", home / "run", samples=64, settings=SMALL)
    return home


# ------------------------------------------------------------------------------------------------------- the parts


@pytest.mark.parametrize("patch", [1, 3, 4])
def test_pictures_in_patches(patch: int) -> None:
    """Bytes survive; a patch divides both sides; the first token is the first patch."""
    part = Picture(height=8, width=12, channels=3, patch=patch)
    raw = np.random.default_rng(0).integers(0, 256, (3, 8, 12), dtype=np.uint8)
    stored = part.cut(raw)
    edge = {1: 1, 3: 2, 4: 4}[patch]
    assert stored.shape == part.size == (3 * edge**2, 96 // edge**2)
    np.testing.assert_array_equal(np.sort(stored[:, 0]), np.sort(raw[:, :edge, :edge].ravel()))
    x = part.decode(torch.from_numpy(stored))
    assert x.abs().max() <= 1
    np.testing.assert_array_equal(part.pixels(part.encode(x).numpy()), raw)


def test_words_in_bits() -> None:
    part = Words(characters="abcé汉", letters=4)
    assert part.size == (3, 4)
    for text in ("", "a", "汉éab"):
        x = part.decode(torch.from_numpy(part.cut(text)))
        assert set(x.unique().tolist()) <= {-1, 1}
        assert part.text(part.encode(x + 0.9 * (2 * torch.rand(x.shape) - 1)).numpy()) == text
    for text, words in (("abcab", "5 letters"), ("ax", "'x', which no text trained on does")):
        with pytest.raises(UserError, match=words):
            part.cut(text)


def test_sounds_by_sizes() -> None:
    """Unit size for the model, which is undone exactly; the wave has the sizes that were asked for."""
    rng, plain = np.random.default_rng(0), Sound(rate=RATE, length=1024, window=64, hop=16)
    tones = [np.sin(2 * np.pi * rng.uniform(200, 3000) * np.arange(1024) / RATE) for _ in range(8)]
    stored = np.stack([plain.cut(np.float32(0.5 * tone)[None]) for tone in tones])
    part = plain.settled(stored)
    x = part.decode(torch.from_numpy(stored))
    assert abs(float(x.mean())) < 1e-4
    assert abs(float(x.std()) - 1) < 1e-3
    np.testing.assert_allclose(part.encode(x), stored, atol=2e-4, rtol=1e-4)
    again = part.cut(part.wave(stored[0]).astype(np.float32) / 32768)
    assert np.square(again - stored[0]).sum() < 1e-2 * np.square(stored[0]).sum()


# ----------------------------------------------------------------------------------------------------------- reading


def test_what_belongs_together(home: Path) -> None:
    """Three files are a sample, in the order of their names; the folder is known for what it is."""
    modality = Joint(window=32, hop=8)
    assert modality.recognises(home / "data")
    records = list(modality.read(home / "data"))
    items = [record for record in records if isinstance(record, Item)]
    assert [item.source for item in items] == [f"{place:02d}" for place in range(48)]
    assert items[0].data.dtype == np.float32
    model = Model.load(home / "run")
    assert isinstance(model.modality, Joint)
    assert list(model.modality.made_of) == ["picture", "sound", "text"]
    assert items[0].data.shape == model.facts.shape
    stored = np.stack([item.data for item in items])
    assert model.modality.texts(stored) == [*WORDS] * 24
    picture = model.modality.made_of["picture"]
    assert isinstance(picture, Picture)
    np.testing.assert_array_equal(
        picture.pixels(model.modality.part(stored[3], "picture")), np.asarray(Image.open(home / "data" / "03.png"))[None]
    )


def test_encode_undoes_decode(home: Path) -> None:
    model = Model.load(home / "run")
    stored = np.stack([item.data for item in model.modality.read(home / "data") if isinstance(item, Item)])
    x = model.modality.decode(stored)
    np.testing.assert_allclose(model.modality.encode(x), stored, atol=1e-3)
    assert model.facts.forced
    weights = model.modality.importance
    assert weights is not None
    torch.testing.assert_close(weights.mean(), torch.tensor(1.0))
    assert not x[:, weights == 0].any()  # what no part has is nothing


def test_what_is_no_sample_is_listed(tmp_path: Path) -> None:
    """A part is lacking, damaged, or of another kind: that name is skipped, the others are read."""
    rng = np.random.default_rng(0)
    for place in range(6):
        write(tmp_path, f"{place}", place % 2, rng)
    (tmp_path / "1.wav").unlink()
    (tmp_path / "2.png").write_bytes(b"no picture")
    (tmp_path / "3.wav").write_bytes(b"")
    (tmp_path / "4.txt").unlink()
    (tmp_path / "notes.pdf").write_bytes(b"x")
    (tmp_path / "5.png").rename(tmp_path / "5.PNG")  # the end of a name in capitals is the same end
    Image.new("L", (8, 8)).save(tmp_path / "5.bmp")
    records = list(Joint(window=32, hop=8).read(tmp_path))
    assert [record.source for record in records if isinstance(record, Item)] == ["0", "5"]
    why = {record.source: record.reason for record in records if isinstance(record, Rejection)}
    assert why["1"] == "it has no sound"
    assert "not a picture" in why["2.png"]
    assert "empty" in why["3.wav"]
    assert why["4"] == "it has no text"
    assert "neither" in why["notes.pdf"]
    assert "a second picture" in why["5.bmp"] if "5.bmp" in why else "a second picture" in why["5.PNG"]


def test_two_parts_are_enough_and_one_is_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for place in range(4):
        write(tmp_path, f"{place}", place % 2, rng)
        (tmp_path / f"{place}.png").unlink()
    assert not Joint().recognises(tmp_path)  # sounds with captions, unless it is said
    items = [record for record in Joint(window=32, hop=8).read(tmp_path) if isinstance(record, Item)]
    assert len(items) == 4
    for file in tmp_path.glob("*.txt"):
        file.unlink()
    with pytest.raises(DataError, match=r"no samples of several parts.* most names have sound"):
        list(Joint().read(tmp_path))


# ---------------------------------------------------------------------------------------------------------- training


def test_times_of_parts() -> None:
    """A time per part, on all its tokens: one or two of three known, at 0, the others late; or each drawn for itself."""
    draws, n, schedule = Keyed(0, list(range(2000))), 2000, Rectified()
    t = draws.uniform("t", 0, ())
    found = Forcing(0.6, (2, 3, 1))(t, Uniform(), schedule, draws, 0, (4, 6))
    assert found.shape == (n, 1, 6)
    parts = found[:, 0, [0, 2, 5]]
    torch.testing.assert_close(found[:, 0], parts.repeat_interleave(torch.tensor([2, 3, 1]), dim=1))
    alike_all = (parts == t[:, None]).all(1)
    known = (parts == 0).any(1)
    error = 4 * (0.25 / n) ** 0.5
    assert float(known.float().mean()) == pytest.approx(0.5, abs=error)
    assert float(alike_all.float().mean()) == pytest.approx(0.4, abs=error)
    count = (parts[known] == 0).sum(1)
    assert set(count.tolist()) == {1, 2}
    assert float(count.float().mean()) == pytest.approx(1.5, abs=2 * error)
    torch.testing.assert_close((parts[known] == 0).float().mean(0), torch.full((3,), 0.5), atol=0.06, rtol=0)
    late = parts[known].max(1).values
    assert float(late.mean()) == pytest.approx(0.75, abs=error)


@pytest.mark.parametrize("prediction", ["x0", "edm"])
def test_a_part_is_as_noisy_as_it_is_long(prediction: Literal["x0", "edm"]) -> None:
    """What is 1 / sqrt(n) in size, as n tokens are, is seen as if it were of size 1 in sqrt(n) times the noise."""
    torch.manual_seed(0)
    modality, linear = Joint.example(), torch.nn.Conv1d(3, 3, 1).double()
    scales = modality.scales.double()
    for name, part in modality.made_of.items():
        torch.testing.assert_close(scales[modality.places[name]], torch.full((part.size[1],), part.size[1] ** -0.5).double())

    class Told(torch.nn.Module):
        def forward(self, x: torch.Tensor, c_noise: torch.Tensor, *_: object) -> torch.Tensor:
            output: torch.Tensor = linear(x) + c_noise
            return output

    x0, eps = torch.randn(2, 4, 3, len(scales), dtype=torch.float64)
    t, ratio = torch.full((4,), 0.6, dtype=torch.float64), 1.5 / scales
    cases = ((scales, x0 * scales, t), (None, x0, (ratio / (1 + ratio)).expand(4, 1, -1)))
    means, losses = [], []
    for own, x, times in cases:
        denoiser = Regression(
            process=Gaussian(schedule=Rectified()), network=Told(), prediction=prediction, scales=own  # type: ignore[arg-type]
        )
        means.append(denoiser(denoiser.process.corrupt(x, times, eps), times).mean)
        losses.append(DenoisingLoss(denoiser=denoiser, weighting=Plain())(x, times, eps).weighted)
    torch.testing.assert_close(means[0], means[1] * scales)
    torch.testing.assert_close(losses[0], losses[1])


def test_parts_count_alike() -> None:
    """The loss of a mistake in a part is its mean square over that part, whatever its size; padding counts nothing."""
    modality = Joint.example()
    weights = modality.importance
    shape = weights.shape

    class Wrong(torch.nn.Module):
        def forward(self, x: torch.Tensor, *_: object) -> torch.Tensor:
            return torch.ones_like(x) * wrong

    denoiser = Regression(
        process=Gaussian(schedule=Rectified()), network=Wrong(), prediction="x0", preconditioning="plain"  # type: ignore[arg-type]
    )
    loss = DenoisingLoss(denoiser=denoiser, weighting=Plain(), importance=weights)
    losses = []
    for place in (*modality.places.values(), slice(0, 0)):
        wrong = torch.zeros(shape)
        wrong[:, place] = 1.0
        each = torch.full((1, 1, shape[1]), 0.5, dtype=torch.float64)
        losses.append(float(loss(torch.zeros(1, *shape), each, torch.randn(1, *shape)).weighted.detach()))
    assert losses[2] == 0
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0] == pytest.approx(0.5, rel=1e-5)  # of two parts


def test_held_out_parts_count_alike(home: Path) -> None:
    """A mistake as large as a part's own values costs as much in each, whatever the part's length."""
    model = Model.load(home / "run")
    modality, shape = model.modality, model.facts.shape
    assert modality.scales is not None
    losses = []
    for name, part in modality.made_of.items():  # type: ignore[attr-defined]
        mean = torch.zeros(1, *shape)
        mean[:, : part.size[0], modality.places[name]] = 1.0  # type: ignore[attr-defined]
        losses.append(float(squared_error(model, mean * modality.scales, torch.zeros(1, *shape))))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-5)
    assert losses[0] > 0


def test_a_resumed_run_is_the_same(home: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    whole = train(home / "data", run, samples=64, settings=(*SMALL, "training.checkpoint_samples=32")).tensors()
    (run / "model.safetensors").unlink()
    sorted((run / "checkpoints").iterdir())[-1].unlink()
    train(None, run, resume=True)
    for name, value in Model.load(run).tensors().items():
        assert torch.equal(value, whole[name]), name


def test_training_goes_on_with_the_same_parts(home: Path, tmp_path: Path) -> None:
    """From a model with other data: louder sounds, larger pictures and fewer letters change nothing of what weights mean."""
    rng = np.random.default_rng(1)
    for place in range(4):
        write(tmp_path / "data", f"{place}", 0, rng)
        Image.new("L", (20, 20), 90).save(tmp_path / "data" / f"{place}.png")
    model = train(tmp_path / "data", tmp_path / "run", start=home / "run", samples=12)
    assert model.facts.modality == Model.load(home / "run").facts.modality


# --------------------------------------------------------------------------------------------------------- any given


def test_what_is_given_comes_back(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each part from a file, alone and together, and the folder that is written can be read again."""
    data, out = home / "data", tmp_path / "made"
    words = f"sample {home / 'run'} -n 2 --steps 3 --given text=high --given picture={data / '01.png'} -o {out} -q"
    code, _, err = call(words, capsys)
    assert code == 0, err
    assert (out / "000001.txt").read_text() == "high\n"
    np.testing.assert_array_equal(np.asarray(Image.open(out / "000000.png")), np.asarray(Image.open(data / "01.png")))
    assert soundfile.info(out / "000001.wav").samplerate == RATE
    model = Model.load(home / "run")
    again = [item for item in model.modality.read(out) if isinstance(item, Item)]
    assert len(again) == 2
    words = f"sample {home / 'run'} -n 1 --steps 2 --given sound={data / '00.wav'} -o {tmp_path / 'a.npy'} -q"
    code, _, err = call(words, capsys)
    assert code == 0, err
    assert isinstance(model.modality, Joint)
    sizes = model.modality.part(np.load(tmp_path / "a.npy")[0], "sound")
    real = model.modality.part(next(r for r in model.modality.read(data) if isinstance(r, Item)).data, "sound")
    np.testing.assert_allclose(sizes, real, atol=1e-3)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("film=x.mp4", "no part 'film'"),
        ("text", "expected PART=FILE"),
        ("text=", "expected PART=FILE"),
        ("text=low --given text=high", "each at most once"),
        ("text=lowlo", "5 letters"),
        ("text=xx", "'x', which no text trained on does"),
        ("picture=nowhere.png", "There is no 'nowhere.png'"),
        ("sound=README.md", "cannot be read as a sound"),
    ],
)
def test_what_cannot_be_given(
    home: Path, given: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, _, err = call(f"sample {home / 'run'} -n 1 --given {given} -o {tmp_path / 'x.png'}", capsys)
    assert code == 2
    assert message in " ".join(err.split())


def test_it_is_measured(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Against data brought to its own parts; a density there is not."""
    code, _, err = call(f"evaluate {home / 'run'} --data {home / 'data'} -n 24 --steps 2 -q", capsys)
    assert code == 0, err
    code, _, err = call(f"likelihood {home / 'run'} {home / 'data'} -n 2", capsys)
    assert code == 2
    assert "no density" in " ".join(err.split())


def test_every_way_out(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.png", "a.wav", "a.ogg", "a.txt", "a.npy"):
        code, out, err = call(f"sample {home / 'run'} -n 3 --steps 2 -o {tmp_path / name} --json", capsys)
        assert code == 0, err
        assert json.loads(out)
        assert (tmp_path / name).stat().st_size
    assert len((tmp_path / "a.txt").read_text().split("\n")) == 4
    journey = f"--journey {tmp_path / 'j.gif'}"
    assert call(f"sample {home / 'run'} -n 2 --steps 2 -o {tmp_path / 'b.png'} {journey} -q", capsys)[0] == 0
    code, _, err = call(f"sample {home / 'run'} -n 1 -o {tmp_path / 'a.mp4'}", capsys)
    assert code == 2
    for command in (f"continue {home / 'run'} {tmp_path / 'a.txt'}", f"generate low -m {home / 'run'}"):
        code, _, err = call(f"{command} -o {tmp_path / 'c.png'}", capsys)
        assert code == 2, err
    with pytest.raises(ConfigError, match=r"modality\.patch = 0"):
        Joint(patch=0)
