"""`pellucid edit` and the same from Python: what is kept to the bit, what is made new, what is refused."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow
from torch import Tensor

from pellucid.cli.app import _run
from pellucid.codecs.codec import Codec
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.guidance.mask import Mask
from pellucid.guidance.observation import Observation
from pellucid.modalities.window import Window
from pellucid.model.config import Facts
from pellucid.model.edit import edit
from pellucid.model.model import Model
from pellucid.model.start import Start
from pellucid.training.train import train
from picture_files import Bytes, random_bytes, save

SMALL = ("network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "training.evaluate=false",
         "sampling.steps=4", "training.precision=float32")  # fmt: skip
CENTRE = np.s_[2:6, 3:7]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on pictures of 8 x 8 in colours and two classes, and pictures to edit."""
    home = tmp_path_factory.mktemp("edit")
    for index, picture in enumerate(np.random.default_rng(0).integers(0, 256, (8, 8, 8, 3), dtype=np.uint8)):
        save(home / "data" / ("a", "b")[index % 2] / f"{index}.png", picture)
    train(home / "data", home / "run", samples=64, settings=SMALL)
    save(home / "in.png", random_bytes(8, 8, 3))
    save(home / "small.png", random_bytes(4, 4, 3))
    save(home / "large.png", random_bytes(20, 30, 3))
    mask = np.zeros((8, 8), dtype=np.uint8)
    mask[CENTRE] = 255
    save(home / "mask.png", mask)
    save(home / "black.png", 0 * mask)
    save(home / "see-through.png", np.stack([mask, mask, mask, mask], -1))
    large = np.zeros((20, 30), dtype=np.uint8)
    large[3:9, 20:29] = 255
    save(home / "large-mask.png", large)
    (home / "empty.png").touch()
    (home / "torn.png").write_bytes((home / "in.png").read_bytes()[:60])
    Pillow.new("1", (20_000, 20_000)).save(home / "bomb.png")
    return home


@pytest.fixture(scope="module")
def model(home: Path) -> Model:
    return Model.load(home / "run")


def pixels(path: Path | str) -> Bytes:
    """(C, H, W)."""
    with Pillow.open(path) as opened:
        return np.asarray(opened.convert("RGB")).transpose(2, 0, 1)


def as_bytes(model: Model, data: Tensor) -> Bytes:
    return model.modality.encode(data)


# --- strength


def test_strength_1_is_plain_sampling(model: Model, home: Path) -> None:
    """To the last bit, with a sampler that injects noise too: nothing of the picture is left."""
    for sampler in ("dpmpp", "ancestral"):
        made = edit(model, home / "in.png", strength=1.0, n=3, sampler=sampler, seed=4)
        assert torch.equal(made.data, model.sample(3, sampler=sampler, seed=4).data)


def test_strength_towards_0_leaves_the_picture(model: Model, home: Path) -> None:
    """With no step to take it is the picture to the last bit, at no call; the change grows with strength."""
    made = edit(model, home / "in.png", strength=0.01)
    assert np.array_equal(as_bytes(model, made.data)[0], pixels(home / "in.png"))
    assert made.nfe == 0
    x0 = model.modality.decode(pixels(home / "in.png"))
    changes = [float((edit(model, home / "in.png", strength=r, steps=20, n=8).data - x0).std()) for r in (0.1, 0.5, 0.9)]
    assert changes == sorted(changes)
    assert edit(model, home / "in.png", strength=0.5, steps=20).nfe == 10


def test_sampling_starts_from_the_noised_data(model: Model) -> None:
    """SDEdit: the first state is alpha_t x0 + sigma_t eps at the time from which the rest of the grid is taken."""
    x0 = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    shown = model.sample(2, start=Start(x0=x0, strength=0.5), steps=10, grid="uniform", journey=True).journey
    free = model.sample(2, steps=10, grid="uniform", journey=True).journey
    assert len(shown) == 6
    eps = free[0] / model.denoiser.process.prior(torch.ones(()), mean=0, std=model.facts.std)
    half = torch.tensor(0.5, dtype=torch.float64)
    schedule = model.denoiser.process.schedule
    torch.testing.assert_close(shown[0], (schedule.alpha(half) * x0 + schedule.sigma(half) * eps).float())


# --- masks


@pytest.mark.parametrize("name", ["in", "large"])
@pytest.mark.parametrize("strength", [None, 0.5])
def test_what_is_not_masked_stays_to_the_bit(
    name: str, strength: float | None, model: Model, home: Path, tmp_path: Path
) -> None:
    """In a PNG at the picture's own size, whatever the model's; what is masked is new."""
    mask = home / ("mask.png" if name == "in" else "large-mask.png")
    edit(model, home / f"{name}.png", mask=mask, strength=strength).save(tmp_path / "out.png")
    before, after, new = pixels(home / f"{name}.png"), pixels(tmp_path / "out.png"), pixels(mask)[0] > 0
    assert after.shape == before.shape
    assert np.array_equal(after[:, ~new], before[:, ~new])
    assert (after != before)[:, new].mean() > 0.9


def test_grey_blends(model: Model, home: Path) -> None:
    """A pixel whose mask is grey lies between the old and the new; the mask as an array is the same as from a file."""
    mask = pixels(home / "mask.png")[0].copy()
    white = as_bytes(model, edit(model, home / "in.png", mask=mask).data)[0].astype(int)
    assert np.array_equal(white, as_bytes(model, edit(model, home / "in.png", mask=home / "mask.png").data)[0])
    mask[CENTRE] = 200
    grey = as_bytes(model, edit(model, home / "in.png", mask=mask).data)[0].astype(int)
    before = pixels(home / "in.png").astype(int)
    assert int(np.abs(before + (white - before) * 200 / 255 - grey).max()) <= 1


def test_what_is_new_suits_the_rest(model: Model, home: Path) -> None:
    """What the model drew where nothing was masked is the picture that it was held to."""
    known = torch.ones(1, 1, 8, 8)
    known[..., 2:6, 3:7] = 0
    sees, x0 = Mask(known=known), model.modality.decode(pixels(home / "in.png"))[None]
    made = model.sample(8, given=Observation(operator=sees, y=sees(x0), noise=0.01), steps=40)
    free = model.sample(8, steps=40)
    assert float((sees(made.data) - sees(x0)).std()) < 0.2 * float((sees(free.data) - sees(x0)).std())


def test_space_is_added_around(model: Model, home: Path) -> None:
    """As many pixels as were asked for at each side; the picture itself stays to the bit."""
    made = as_bytes(model, edit(model, home / "in.png", pad=(1, 2, 3, 0)).data)[0]
    assert made.shape == (3, 10, 12)
    assert np.array_equal(made[:, 2:, 1:9], pixels(home / "in.png"))
    assert made[:, :2].std() > 0


def test_a_window_of_the_models_size_sees_a_picture_as_it_is() -> None:
    """No pixel changes on the way to the model and back; means are over what is known alone."""
    picture, known = random_bytes(3, 8, 8), np.ones((8, 8), dtype=bool)
    known[CENTRE] = False
    window = Window.around((3, 2, 7, 6), (8, 8), (8, 8))
    seen, clear = window.cut(picture, known)
    assert np.array_equal(clear, known)
    assert np.array_equal(seen[:, known], picture[:, known])
    assert np.array_equal(window.paste(picture, seen, np.ones((8, 8), dtype=np.float32))[:, known], picture[:, known])
    half, _ = Window.around((0, 0, 8, 8), (8, 8), (4, 4)).cut(np.where(known, 90, 200)[None].astype(np.uint8), known)
    assert np.abs(half[half > 1] - 90).max() < 1e-3


@pytest.mark.parametrize(("box", "left", "top", "scale"), [
    ((0, 0, 5, 5), 0.0, 0.0, 2.5), ((25, 0, 30, 5), 10.0, 0.0, 2.5), ((14, 9, 16, 11), 5.0, 0.0, 2.5),
    ((0, 0, 30, 20), 0.0, -5.0, 3.75),
])
def test_a_window_shows_all_of_the_mask(box: tuple[int, int, int, int], left: float, top: float, scale: float) -> None:
    """Of a picture of 30 x 20: the largest square in it, moved to the mask; larger than the picture if the mask is."""
    window = Window.around(box, (30, 20), (8, 8))
    assert (window.left, window.top, window.scale) == (left, top, scale)


# --- restoration


def test_enlarging_and_denoising_hold_to_the_picture(model: Model, home: Path) -> None:
    """Made smaller again the larger picture is the given one; denoised pictures lie as far from it as the noise says."""
    small = pixels(home / "small.png")
    made = edit(model, home / "small.png", upscale=2, n=4, steps=40).data
    assert made.shape == (4, 3, 8, 8)
    again = made.reshape(4, 3, 4, 2, 4, 2).mean((3, 5))
    free = model.sample(4, steps=40).data.reshape(4, 3, 4, 2, 4, 2).mean((3, 5))
    y = model.modality.decode(small)
    assert float((again - y).std()) < 0.1 * float((free - y).std())
    x = model.modality.decode(pixels(home / "in.png"))
    near, far = (float((edit(model, home / "in.png", denoise=s, n=8, steps=40).data - x).std()) for s in (2, 60))
    assert near < 0.05 < far


def test_a_smaller_picture_keeps_its_shape(model: Model, tmp_path: Path) -> None:
    """Of 3 x 2, enlarged twice, it is 6 x 4, though the model's are 8 x 8."""
    save(tmp_path / "tiny.png", random_bytes(2, 3, 3))
    assert edit(model, tmp_path / "tiny.png", upscale=2).data.shape == (1, 3, 4, 6)
    assert edit(model, tmp_path / "tiny.png", denoise=10).data.shape == (1, 3, 2, 3)


# --- latents


class Halves(Codec):
    """Latents at half the resolution."""

    def encode(self, x: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(x, 2)

    def decode(self, z: Tensor) -> Tensor:
        return z.repeat_interleave(2, 2).repeat_interleave(2, 3)

    def latent_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[0], shape[1] // 2, shape[2] // 2


def test_latents(model: Model, home: Path) -> None:
    """With a codec, strength starts from the encoded picture and masks act on latents; the rest is refused."""
    coded = replace(model, codec=Halves(), facts=Facts(shape=(3, 16, 16)))
    picture, mask = np.repeat(np.repeat(pixels(home / "in.png"), 2, 1), 2, 2), np.zeros((16, 16), dtype=np.uint8)
    mask[5:9, 6:10] = 255
    assert np.array_equal(as_bytes(model, edit(coded, picture, strength=0.01).data)[0], picture)
    filled = as_bytes(model, edit(coded, picture, mask=mask).data)[0]
    assert np.array_equal(filled[:, mask == 0], picture[:, mask == 0])
    assert (filled != picture)[:, mask > 0].mean() > 0.9
    for asked in ({"upscale": 2}, {"denoise": 10.0}):
        with pytest.raises(UnsupportedError, match="the latents of Halves"):
            edit(coded, picture, **asked)


# --- randomness, and what it refuses


def test_a_version_does_not_depend_on_its_batch(model: Model, home: Path) -> None:
    """Version i is the same alone in its batch or with others, for every kind of edit."""
    kinds = {"strength": {"strength": 0.5}, "mask": {"mask": home / "mask.png"}, "upscale": {"upscale": 2}}
    for name, asked in kinds.items():
        source = home / ("small.png" if name == "upscale" else "in.png")
        one, all_ = (edit(model, source, n=3, batch=batch, label=["a", "b"], **asked).data for batch in (1, 3))
        torch.testing.assert_close(one, all_, rtol=0, atol=2e-4)
        assert float((all_[0] - all_[2]).abs().max()) > 0.1


def test_rows_are_one_for_each_sample(model: Model) -> None:
    """Data to start from and what is given go by sample; another number of rows is refused."""
    x0 = torch.rand(3, 3, 8, 8)
    three = model.sample(3, start=Start(x0=x0, strength=0.5), batch=2).data
    torch.testing.assert_close(three[1:2], model.sample(3, start=Start(x0=x0[1:2], strength=0.5)).data[1:2])
    for asked in ({"start": Start(x0=x0, strength=0.5)}, {"given": Observation(operator=lambda x: x, y=x0)}):
        with pytest.raises(ConfigError, match="has 3 rows for n = 2"):
            model.sample(2, **asked)


@pytest.mark.parametrize(("asked", "message"), [
    ({}, "one way to edit"), ({"strength": 0.5, "upscale": 2}, "one way to edit"),
    ({"strength": 0.0}, "strength = 0 is out of range"), ({"strength": float("nan")}, "strength = nan"),
    ({"strength": 1.01}, "strength = 1.01"), ({"upscale": 1}, "upscale = 1"), ({"denoise": 0.0}, "denoise = 0"),
    ({"denoise": float("inf")}, "denoise = inf"), ({"pad": (0, 0, 0, 0)}, "pad = 0,0,0,0"),
    ({"pad": (1, 0, 0, 0), "strength": 0.5}, "nothing to start from"), ({"pad": (10**9, 0, 0, 0)}, "add less"),
    ({"mask": np.zeros((4, 8), dtype=np.uint8)}, "The mask is 8 x 4, the picture 8 x 8"),
])
def test_what_python_refuses(asked: dict[str, object], message: str, model: Model, home: Path) -> None:
    with pytest.raises((ConfigError, DataError), match=message):
        edit(model, home / "in.png", **asked)  # type: ignore[arg-type]


def call(words: str, home: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `pellucid edit RUN ...`; names of files in `home` begin with @."""
    code = _run(["edit", str(home / "run"), *shlex.split(words.replace("@", f"{home}/"))])
    return code, *(re.sub(r"\x1b\[[\d;]*m", "", text) for text in capsys.readouterr())


def test_the_command(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each way writes what it says, the same as from Python; a larger picture is told of."""
    monkeypatch.chdir(tmp_path)
    assert call("@in.png --mask @mask.png", home, capsys)[0] == 0
    assert np.array_equal(pixels("edited.png")[:, :2], pixels(home / "in.png")[:, :2])
    code, out, _ = call("@large.png --mask @large-mask.png --json -n 2 --label a,b -o folder", home, capsys)
    told = json.loads(out)
    assert (code, told["width"], told["height"], told["nfe"]) == (0, 30, 20, 4)
    assert told["notes"] == ["of 30 x 20, 20 x 20 around the mask are seen at the model's 8 x 8"]
    assert len(list(Path("folder").glob("*.png"))) == 2
    code, out, _ = call("@large.png --strength 0.5 --journey j.gif", home, capsys)
    assert (code, "30 x 20, scaled and cropped about the centre to the model's 8 x 8" in out) == (0, True)
    assert Path("j.gif").is_file()
    assert call("@small.png --upscale 2 --denoise 5 -o up.png", home, capsys)[0] == 0
    assert call("@in.png --pad 0,0,4,0 -o wide.png", home, capsys)[0] == 0
    assert (pixels("up.png").shape, pixels("wide.png").shape) == ((3, 8, 8), (3, 8, 12))


@pytest.mark.parametrize(("words", "message"), [
    ("@empty.png --strength 0.5", "Cannot read '.*empty.png' as a picture: an empty file"),
    ("@torn.png --strength 0.5", "Cannot read '.*torn.png' as a picture"),
    ("@bomb.png --strength 0.5", "more than [0-9,]+ pixels"), ("@data --strength 0.5", "is a folder, expected one picture"),
    ("@in.pgn --strength 0.5", "Did you mean '.*in.png'"),
    ("@run/config.toml --strength 0.5", "does not end like a picture"),
    ("@in.png --mask @large-mask.png", "is 30 x 20, the picture 8 x 8: expected a mask in bytes of the same size"),
    ("@in.png --mask @black.png", "is black everywhere"), ("@in.png --mask @see-through.png", "has transparent pixels"),
    ("@in.png --mask @empty.png", "an empty file"), ("@in.png --mask @bomb.png", "pixels"),
    ("@in.png", "one way to edit"), ("@in.png --strength 2", "strength = 2 is out of range"),
    ("@in.png --strength nan", "strength = nan"), ("@in.png --upscale 2", "expected one of at most 4 x 4 to enlarge it 2"),
    ("@large.png --denoise 9", "is 30 x 20, and the model makes 8 x 8"), ("@in.png --pad 1,2", "--pad 1,2: expected"),
    (f"@in.png --strength 0.5 --prompt {'x' * 10_000}", "10,000 characters: expected at most 2,000"),
    ("@in.png --strength 0.5 --prompt 'a\x07b'", r"control character U\+0007"),
    ("@in.png --strength 0.5 --prompt hat", "trained without captions"),
    ("@in.png --strength 0.5 --label c", "'c'"), ("@in.png --strength 0.5 --out x.pgn", "did you mean '.png'"),
    ("@in.png --strength 0.5 --sampler huen", "did you mean 'heun'"),
])
def test_what_the_command_refuses(
    words: str, message: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In one message, with nothing written."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(words, home, capsys)
    assert (code, out, err.count("error: "), list(tmp_path.iterdir())) == (2, "", 1, []), err
    assert re.search(message, err)
    assert len(err) < 600
