"""Training that goes out from a pipeline of diffusers: what it changes and leaves, and that diffusers reads what it made."""

import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from pellucid.cli.app import _run
from pellucid.core.errors import ConfigError, InterruptedRunError, UnsupportedError
from pellucid.interop.load import load
from pellucid.interop.pretrained import Pretrained
from pellucid.model.model import Model
from pellucid.training.config import load_config
from pellucid.training.train import train
from picture_files import picture
from test_start import Stop
from tiny_pipelines import SIDE, STABLE, stable_diffusion, unconditional

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
QUICK = (
    "training.evaluate=false", "sampling.steps=1", "sampling.guidance=1.0", "training.warmup=0", "training.precision=float32"
)
LEARNING = ("optimiser.learning_rate=0.01", "training.ema=[0.05]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    peer = diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False)
    return stable_diffusion(tmp_path_factory.mktemp("tune") / "sd", peer)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("tune") / "data" / "dark"
    place.mkdir(parents=True)
    for index in range(24):
        (place / f"{index}.png").write_bytes(picture(4 + index % 3))
        (place / f"{index}.txt").write_text("a dark thing", encoding="utf-8")
    return place.parent


def predicted(model: Model) -> Tensor:
    """What a model's network says of fixed latents and a prompt."""
    assert isinstance(model.denoiser, Pretrained)
    x_t = torch.linspace(-2, 2, 2 * 4 * 8 * 8).reshape(2, 4, 8, 8)
    with torch.no_grad():
        found: Tensor = model.denoiser.predict(x_t, torch.tensor(0.5), model.condition(2, caption="a dark thing"))
    return found


def losses(run: Path) -> list[float]:
    events = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [event["loss"] for event in events if event["event"] == "train"]


def test_adapters_are_a_small_file_that_diffusers_reads(folder: Path, data: Path, tmp_path: Path) -> None:
    """They are the default; the run is a model; our load and diffusers' own give the network that was trained."""
    made = train(data, tmp_path / "run", start=folder, samples=48, settings=[*QUICK, *LEARNING, "training.rank=4"])
    before, after = predicted(load(folder)), predicted(made)
    assert (after - before).abs().max() > 0.01
    torch.testing.assert_close(predicted(load(tmp_path / "run")), after, rtol=0, atol=1e-5)
    torch.testing.assert_close(predicted(load(folder, lora={tmp_path / "run" / "lora.safetensors": 0.0})), before)
    peer = diffusers.StableDiffusionPipeline.from_pretrained(folder)
    peer.load_lora_weights(tmp_path / "run", weight_name="lora.safetensors")
    model = load(folder)
    assert isinstance(model.denoiser, Pretrained)
    model.denoiser.network = peer.unet.eval()
    with torch.no_grad():
        torch.testing.assert_close(predicted(model), after, rtol=0, atol=1e-5)
    assert not (tmp_path / "run" / "pipeline").exists()
    assert load(tmp_path / "run").card == made.card
    assert train(data, tmp_path / "default", start=folder, samples=4, settings=QUICK).card["samples_seen"] == 4
    assert load_config(tmp_path / "default" / "config.toml").training.rank == 16


def test_whole(folder: Path, data: Path, tmp_path: Path) -> None:
    """All weights of the network move, nothing else does; diffusers loads what was made, and training can go out from it."""
    more = ["training.rank=0", "training.log_samples=96", "training.batch=8"]
    made = train(data, tmp_path / "run", start=folder, samples=384, settings=[*QUICK, *LEARNING, *more])
    found = losses(tmp_path / "run")
    assert found[-1] < 0.9 * found[0]
    whole = tmp_path / "run" / "pipeline"
    torch.testing.assert_close(predicted(load(tmp_path / "run")), predicted(made), rtol=0, atol=1e-6)
    old, new = (diffusers.StableDiffusionPipeline.from_pretrained(place) for place in (folder, whole))
    for name in ("vae", "text_encoder"):
        ours = getattr(new, name).state_dict()
        assert all(torch.equal(ours[key], value) for key, value in getattr(old, name).state_dict().items())
    ours = new.unet.state_dict()
    assert not any(torch.equal(ours[key], value) for key, value in old.unet.state_dict().items() if value.ndim > 1)
    train(data, tmp_path / "again", start=tmp_path / "run", samples=4, settings=[*QUICK, "training.rank=2"])
    assert (tmp_path / "again" / "lora.safetensors").is_file()


def test_resuming(folder: Path, data: Path, tmp_path: Path) -> None:
    """The same adapters to the bit; and a checkpoint holds no weight that does not change."""
    settings = [*QUICK, *LEARNING, "training.rank=4", "training.checkpoint_samples=8"]
    train(data, tmp_path / "whole", start=folder, samples=32, settings=settings)
    with pytest.raises(InterruptedRunError):
        train(data, tmp_path / "cut", start=folder, samples=32, settings=settings, observer=Stop(16))
    checkpoint = max((tmp_path / "cut" / "checkpoints").glob("*.safetensors"))
    with safe_open(checkpoint, framework="pt") as opened:
        names = list(opened.keys())
    assert any("lora_A" in name for name in names)
    assert not any("base_layer" in name or "text_model" in name for name in names)
    train(None, tmp_path / "cut", resume=True)
    one, other = (load_file(tmp_path / name / "lora.safetensors") for name in ("whole", "cut"))
    assert one.keys() == other.keys()
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_captions_and_nothing_are_learned(folder: Path, data: Path, tmp_path: Path) -> None:
    """A batch is told the pictures' captions, or now and then none, as the pipeline's own encoder reads them."""
    seen: list[Any] = []

    class Look(Stop):
        def step(self, state: Any, *_: object) -> None:
            seen.append(state.loss.denoiser.conditioners["caption"])

    settings = [*QUICK, "training.rank=4", "loss.drop_condition=0.5"]
    train(data, tmp_path / "run", start=folder, samples=64, settings=settings, observer=Look(0))
    known = {"".join(part.text for part in parts) for parts in seen[0]._known}
    assert {"a dark thing", ""} <= known


def test_pictures_of_nothing_in_particular(data: Path, tmp_path: Path) -> None:
    """A pipeline without words or adapters is tuned whole, and samples from the command line."""
    folder, run = unconditional(tmp_path / "ddim", diffusers.DDIMScheduler()), str(tmp_path / "run")
    asked = ["train", str(data), "--from", str(folder), "--out", run, "--samples", "8", "--quiet"]
    assert _run([*asked, *(word for setting in QUICK for word in ("--set", setting))]) == 0
    assert load_config(tmp_path / "run" / "config.toml").training.rank == 0
    assert diffusers.DDIMPipeline.from_pretrained(tmp_path / "run" / "pipeline").unet is not None
    assert _run(["sample", run, "-n", "2", "--steps", "2", "--out", str(tmp_path / "two.png"), "--quiet"]) == 0
    assert _run(["evaluate", run, "-n", "20", "--steps", "2", "--quiet"]) == 0
    assert '"event": "evaluation"' in (tmp_path / "run" / "log.jsonl").read_text()


def test_what_is_refused(folder: Path, data: Path, tmp_path: Path) -> None:
    """Before anything is trained, and with no run left behind."""
    plain = unconditional(tmp_path / "ddim", diffusers.DDIMScheduler())
    cases: list[tuple[Path, dict[str, Any], list[str], str]] = [
        (folder, {"condition": "label"}, [], "is told captions only"),
        (plain, {"condition": "caption"}, [], "neither labels nor captions"),
        (plain, {}, ["training.rank=4"], "takes no low-rank weights"),
        (folder, {}, ["training.rank=1000"], "no layer of the UNet2DConditionModel is larger"),
        (folder, {}, ["network.size=small"], "a pipeline keeps its own"),
        (folder, {}, ["training.rank=0", "training.weak=0.1"], "keeps no weak version"),
        (folder, {"size": SIDE // 2}, [], "leave data.size"),
    ]
    for index, (start, options, settings, message) in enumerate(cases):
        out = tmp_path / str(index)
        with pytest.raises((ConfigError, UnsupportedError), match=message):
            train(data, out, start=start, samples=8, settings=[*QUICK, *settings], **options)
        assert not (out / "config.toml").exists()
    run = tmp_path / "lost"
    train(data, run, start=folder, samples=4, settings=[*QUICK, "training.rank=2"])
    (run / "config.toml").unlink()
    assert _run(["sample", str(run), "-n", "1", "--out", str(tmp_path / "x.png"), "--quiet"]) == 2
