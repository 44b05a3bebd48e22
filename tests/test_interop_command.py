"""Folders in the layout of diffusers at the command line: pictures, what is said of them, what is refused."""

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image as Pillow

import pellucid
from pellucid.cli.app import _run
from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Key
from pellucid.interop.clip_text import ClipText
from pellucid.interop.load import load
from tiny_pipelines import STABLE, latent_consistency, stable_diffusion, unconditional

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
UNET, WEIGHTS = "unet/diffusion_pytorch_model", "unet/diffusion_pytorch_model.safetensors"
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sd`, Stable Diffusion as its first folders have it; `lcm`, a kind that we have not; `plain`, which takes no words."""
    home = tmp_path_factory.mktemp("pipelines")
    stable_diffusion(home / "sd", diffusers.PNDMScheduler(**STABLE, skip_prk_steps=True, steps_offset=1))
    latent_consistency(home / "lcm")
    unconditional(home / "plain", diffusers.DDPMScheduler())
    return home


def call(words: str, capsys: Capture) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    code = _run(shlex.split(words))
    return code, *(re.sub(r"\x1b\[[\d;]*m", "", text) for text in capsys.readouterr())


def test_a_picture_from_words(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    """With the folder's own sampler and guidance, or those asked for, by seed, and nothing else is printed."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(f"generate 'a red cat' --model {home}/sd --steps 3 --quiet", capsys)
    assert (code, err) == (0, "")
    assert "1 picture" in out
    assert "6 network calls each" in out  # two for guidance
    first = Path("output.png").read_bytes()
    assert call(f"generate 'a red cat' --model {home}/sd --steps 3 --low-memory -o again.png", capsys)[0] == 0
    with Pillow.open("again.png") as again, Pillow.open("output.png") as one:
        assert int(np.abs(np.asarray(again).astype(int) - np.asarray(one)).max()) <= 1
    options = "--sampler ddim --steps 2 --guidance 3 --negative dog --json -o s.png --journey j.gif"
    code, out, _ = call(f"generate '{{red|blue}} cat' --model {home}/sd {options}", capsys)
    told = json.loads(out)
    assert (code, told["prompts"], told["nfe"], told["notes"]) == (0, ["red cat", "blue cat"], 4, [])
    assert Path("j.gif").is_file()
    code, out, _ = call(f"sample {home}/sd --prompt 'a red cat' -n 1 --steps 3 -o sample.png", capsys)
    assert (code, Path("sample.png").read_bytes()) == (0, first)
    assert call(f"sample {home}/plain -n 2 --sampler ddim --steps 2 -o plain.png", capsys)[0] == 0
    code, out, _ = call(f"generate '{'cat ' * 40}' --model {home}/sd --steps 1", capsys)
    assert "Only the first 75 of 120 tokens are read" in out


def test_another_kind_is_handed_to_diffusers(home: Path, tmp_path: Path, capsys: Capture) -> None:
    """The picture is what diffusers makes with the same generator; a picture depends on seed and place alone."""
    out = tmp_path / "two"
    options = f"--steps 2 --guidance 4 --seed 7 -o {out} --json"
    code, told, err = call(f"generate '{{a|b}} cat' --model {home}/lcm {options}", capsys)
    assert code == 0, err
    assert json.loads(told)["nfe"] == 2
    peer = diffusers.LatentConsistencyModelPipeline.from_pretrained(home / "lcm")
    generator = torch.Generator().manual_seed(int(Key(7, "foreign").bits([1], 1)[0, 0]))
    theirs = peer("b cat", num_inference_steps=2, guidance_scale=4.0, generator=generator).images[0]
    with Pillow.open(out / "000001.png") as ours:
        assert np.array_equal(np.asarray(ours), np.asarray(theirs))
    with pytest.raises(UnsupportedError, match="its pipeline is a LatentConsistencyModelPipeline"):
        pellucid.load(home / "lcm")


def reword(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


BROKEN: dict[str, Callable[[Path], Any]] = {
    "vae": lambda folder: (folder / "vae").rename(folder / "other"),
    "pickle": lambda folder: (folder / WEIGHTS).rename(folder / f"{UNET}.bin"),
    "short": lambda folder: (folder / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:5000]),
    "json": lambda folder: (folder / "model_index.json").write_text("{"),
    "class": lambda folder: (folder / "model_index.json").write_text('{"_class_name": 3}'),
    "code": lambda folder: reword(folder / "model_index.json", '"transformers",\n    "CLIPTextM', '"os",\n    "CLIPTextM'),
    "unknown": lambda folder: reword(folder / "model_index.json", "StableDiffusionPipeline", "NoSuchPipeline"),
}


@pytest.mark.parametrize(("how", "message"), [
    ("vae", "lacks the component 'vae'"), ("pickle", r"model\.bin' is a pickle, which can run any code"),
    ("short", "The component 'unet' of .* cannot be loaded"), ("json", "is not JSON"), ("class", "names no pipeline"),
    ("code", r"'text_encoder' of .* is code of its own \(os\)"), ("unknown", "diffusers cannot load .*, a NoSuchPipeline"),
])
def test_damaged_folders(how: str, message: str, home: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = copytree(home / "sd", tmp_path / "sd")
    BROKEN[how](folder)
    code, out, err = call(f"generate cat --model {folder} --steps 1 -o {tmp_path}/out.png", capsys)
    assert (code, out, err.count("error: ")) == (2, "", 1), err
    assert re.search(message, err)
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(("words", "message"), [
    ("generate cat --model @/lcm --sampler ddim", "--sampler has no effect on a LatentConsistencyModelPipeline"),
    ("generate '(cat:2)' --model @/lcm", "cannot weigh words"),
    ("generate cat --model @/lcm --negative dog", "takes no negative"),
    ("generate cat --model @/sd --style noto", "the model knows no styles"),
    ("generate '(cat:9)' --model @/sd", "out of range"),
    ("generate cat --model @/plain", "Caption 'cat' was asked for, but the model was trained without captions"),
    ("generate cat --model @/sd/unet", "one component of a pipeline, its UNet2DConditionModel"),
    ("generate cat --model @", "holds no model.safetensors, .* and no model_index.json"),
    ("generate cat --half", "no pipeline of diffusers"),
    ("generate cat --model v1.ckpt", "'v1.ckpt' is a pickle"),
    ("generate cat --model hub:nobody/nothing", "cannot be fetched from the hub: .*is there a network"),
    ("sample nobody/nothing", "'nobody/nothing' is no folder here and cannot be fetched"),
    ("generate cat --model runs/nothing", "There is no model 'runs/nothing'"),
])
def test_what_is_refused(
    words: str, message: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    """In one message, with nothing written. Without a network, which the hub would be asked over."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.chdir(tmp_path)
    Path("v1.ckpt").touch()
    Path("runs").mkdir()
    code, out, err = call(words.replace("@", str(home)), capsys)
    assert (code, out, err.count("error: "), len(list(tmp_path.iterdir()))) == (2, "", 1, 2), err
    assert re.search(message, err)


def test_without_the_libraries(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    monkeypatch.setitem(__import__("sys").modules, "diffusers.utils.logging", None)
    code, _, err = call(f"generate cat --model {home}/sd", capsys)
    assert (code, "pip install 'pellucid[pretrained]'" in err) == (2, True), err


def test_weights_of_words(home: Path, tmp_path: Path) -> None:
    """A weight moves a word's tokens on the line from nothing through the word; the other tokens stay."""
    model = pellucid.load(home / "sd")
    reader = model.conditioners["caption"]
    assert isinstance(reader, ClipText)
    tokens = {w: reader(reader.parse(f"a (red:{w}) cat", 1)).tokens for w in (0, 1, 2)}
    plain, nothing = reader(reader.parse("a red cat", 1)).tokens, reader(reader.null(1)).tokens
    assert all(value is not None for value in (*tokens.values(), plain, nothing))
    torch.testing.assert_close(tokens[1], plain)
    red, rest = slice(2, 5), [0, 1, *range(5, 77)]  # start, a, r, e, d, c, a, t, end
    torch.testing.assert_close(tokens[2][:, rest], plain[:, rest])
    torch.testing.assert_close(tokens[0][:, red], nothing[:, red])
    torch.testing.assert_close(tokens[2][:, red], 2 * plain[:, red] - nothing[:, red])
    with pytest.raises(UnsupportedError, match="StableDiffusionPipeline stays in the layout of diffusers"):
        model.save(tmp_path / "model.safetensors")


def test_half_precision(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In 16 bits the picture is nearly the same, and still float32; where a device has none it is refused."""
    whole = pellucid.load(home / "sd").sample(1, prompt="cat", steps=3).data
    monkeypatch.setattr("pellucid.interop.half.has_bfloat16", lambda _device: True)
    half = load(home / "sd", half=True)
    assert next(half.denoiser.parameters()).dtype == torch.bfloat16
    made = half.sample(1, prompt="cat", steps=3).data
    assert made.dtype == torch.float32
    assert 0 < float((made - whole).abs().max()) < 0.1
    monkeypatch.setattr("pellucid.interop.half.has_bfloat16", lambda _device: False)
    with pytest.raises(UnsupportedError, match="nothing faster in 16 bits"):
        load(home / "sd", half=True)
