"""Models handed to other programs: what is written answers as torch does, runs without this package, and says how."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

import pellucid
from commands import call
from pellucid.core.errors import UnsupportedError, UserError
from pellucid.core.random import Key, Keyed
from pellucid.interop import onnx_export, onnx_graph
from pellucid.interop.export import export
from pellucid.model.assemble import assemble_sampler
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from tiny_pipelines import STABLE, latent_diffusion, stable_diffusion, stable_diffusion_xl, unconditional

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of diffusers, onnxscript

UNET = {"name": "unet", "channels": [4, 8], "patch": 1, "attention": False, "blocks": 1, "heads": 1, "embedding_width": 8}
MLP = {"name": "mlp", "width": 16, "depth": 1}
PICTURES = Facts(shape=(1, 8, 8), labels=("a", "b"))


def made(facts: Facts, **sections: Any) -> Model:
    """A small model whose weights are no zeros anywhere."""
    model = Model.create(ModelConfig(**{"network": MLP, **sections}), facts, 0)
    for module in model.parts().values():
        for place, value in enumerate(module.parameters()):
            value.data.copy_(Key(0, "weights").normal([place], tuple(value.shape))[0] / 5)
        module.eval().requires_grad_(False)
    return model


def code_of(folder: Path) -> list[str]:
    """The blocks of code in the card."""
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)


def run_code(code: str, folder: Path) -> Tensor:
    """What the very code of the card saves, in a process that cannot import this package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    refuse = "import sys; sys.modules['torch'] = sys.modules['pellucid'] = None\n"
    subprocess.run([sys.executable, "-W", "error", "-c", refuse + code], cwd=folder, env=kept, check=True)
    return torch.from_numpy(np.load(folder / "samples.npy"))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * max(1.0, float(expected.abs().max())))


def sampled(model: Model, config: dict[str, Any], numbers: list[Tensor], cond: dict[str, Tensor]) -> Tensor:
    """Samples by torch, all noise coming from `numbers` in turn."""

    class Given:
        def normal(self, *_: Any) -> Tensor:
            return numbers.pop(0).double()

    process: Any = model.denoiser.process
    sampler, grid = assemble_sampler(config, process.schedule)
    times = torch.unique(process.snap(grid(process.schedule, config["steps"]))).flip(0)
    x = process.prior(numbers.pop(0), mean=model.facts.mean, std=model.facts.std).float()
    return model.codec.decode(sampler.sample(model.denoiser, x, times, draws=Given(), cond=cond or None))


# ONNX ----------------------------------------------------------------------------------------------------------------------


def test_pictures_of_any_size_with_guidance(tmp_path: Path) -> None:
    """One call, and all of sampling under guidance; each by the code of its card, as torch samples."""
    model, folder = made(PICTURES, network=UNET), tmp_path / "out"
    found = export(model, folder, loop=True, sampler="heun", steps=4, guidance=3.0)
    assert set(found.open_axes) == {"batch", "2*height", "2*width"}
    assert {"README.md", "loop.onnx", "model.json", "model.onnx"} == set(found.files)
    assert max(found.differences.values()) < 1e-4
    first, whole = code_of(folder)
    rng, cond = np.random.default_rng(0), {"label": torch.arange(4) % 2}
    noise = torch.from_numpy(rng.standard_normal((4, 1, 8, 8), dtype=np.float32))
    steps = min(20, model.sampling()["steps"])
    close(run_code(first, folder), sampled(model, {"sampler": "ddim", "steps": steps}, [noise], cond))
    guided = model.sample(1, label="b", guidance=3.0, sampler="heun", steps=4, seed=2).data
    session = onnxruntime.InferenceSession(folder / "loop.onnx")
    start = Keyed(2, [0]).normal("prior", 0, (1, 8, 8)).float().numpy()
    close(torch.from_numpy(session.run(None, {"noise": start, "label": np.array([1])})[0]), guided)
    assert run_code(whole, folder).shape == (4, 1, 8, 8)
    wide = np.zeros((2, 1, 16, 24), np.float32)
    assert session.run(None, {"noise": wide, "label": np.array([0, 2])})[0].shape == wide.shape
    for file in folder.glob("*.onnx"):  # tells nothing of the machine that it was made on
        assert b"site-packages" not in file.read_bytes()
        assert str(Path(pellucid.__file__).parent).encode() not in file.read_bytes()


def test_words_and_latents(tmp_path: Path) -> None:
    """Captions become numbers by a file that needs nothing; an autoencoder decodes, by itself and in the loop."""
    facts = Facts(shape=(3, 8, 8), captions=True, std=1.0)
    text = {"name": "caption", "features": 8, "depth": 1, "length": 4}
    denoiser, folder = {"name": "regression", "sketch": 2}, tmp_path
    model = made(facts, codec={"name": "kl", "width": 4}, text=text, denoiser=denoiser)
    found = export(model, folder / "out", loop=True, steps=3, guidance=2.0)
    assert {"decoder.onnx", "words.py"} < set(found.files)
    first, _ = code_of(folder / "out")
    cond = {"caption": model.conditioners["caption"].parse("a red heart", 4)}
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 4, 4, 4), dtype=np.float32))
    steps = min(20, model.sampling()["steps"])
    close(run_code(first, folder / "out"), sampled(model, {"sampler": "ddim", "steps": steps}, [noise], cond))
    guided = model.sample(2, prompt=["a red heart", "sun"], guidance=2.0, steps=3).data
    feed = {"noise": Keyed(0, range(2)).normal("prior", 0, (4, 4, 4)).float().numpy(),
            "caption": model.conditioners["caption"].parse(["a red heart", "sun"], 2).numpy()}  # fmt: skip
    close(torch.from_numpy(onnxruntime.InferenceSession(folder / "out" / "loop.onnx").run(None, feed)[0]), guided)


KINDS: dict[str, Callable[[], Model]] = {
    "wiener": lambda: made(
        Facts(shape=(2, 6), given=True), modality={"name": "series"}, denoiser={"name": "wiener", "leading": 2}
    ),
    "films": lambda: made(Facts(shape=(1, 3, 4, 5), forced=True), modality={"name": "video"}),
    "sound": lambda: made(
        Facts(shape=(1, 64)), modality={"name": "sound"}, codec={"name": "loudness", "window": 16, "hop": 4},
        schedule={"name": "sigmoid"},
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_values(kind: str, tmp_path: Path) -> None:
    """One call, of other samples than it was traced with, and the code of the card."""
    model, folder = KINDS[kind](), tmp_path / "out"
    found = export(model, folder)
    assert found.differences["model.onnx"] < 1e-4
    names = {one.name for one in onnxruntime.InferenceSession(folder / "model.onnx").get_inputs()}
    assert ("given" in names) == (kind == "films")
    assert run_code(code_of(folder)[0], folder).shape == (4, *model.codec.latent_shape(model.facts.shape))


LOOPS: dict[str, Callable[[], Model]] = {
    "series": lambda: made(Facts(shape=(2, 8), given=True), modality={"name": "series"}),
    "variational": lambda: made(PICTURES, denoiser={"name": "variational", "levels": 2, "latent": 3}),
}
NUMBERS = {"fresh": ("sampler", None), "latent": ("latent", (3,)), "around": ("around", None)}
"""What a loop takes besides the first noise: what it is drawn for, and its size where it is not that of a state."""


@pytest.mark.parametrize("kind", LOOPS)
def test_the_loop_makes_the_samples_of_the_model(kind: str, tmp_path: Path) -> None:
    """Noise for noise; what is given stays; where a denoiser draws, it draws by the same numbers."""
    model, folder, draws = LOOPS[kind](), tmp_path / "out", Keyed(4, range(2))
    steps, shape = None if kind == "variational" else 3, model.facts.shape
    export(model, folder, loop=True, steps=steps)
    session = onnxruntime.InferenceSession(folder / "loop.onnx")
    names = {one.name for one in session.get_inputs()}
    feed = {"noise": draws.normal("prior", 0, shape).float().numpy()}
    for name in names & NUMBERS.keys():
        purpose, size = NUMBERS[name]
        times = range(1 if name == "fresh" else model.sampling()["steps"])
        feed[name] = torch.stack([draws.normal(purpose, step, size or shape) for step in times], 1).float().numpy()
    asked: dict[str, Any] = {"label": "all"}
    if kind == "variational":
        feed["label"] = np.array([0, 1])
    else:
        known = torch.full((2, *shape), torch.nan)
        known[1, :, :3] = 0.5
        feed["given"], asked = known.numpy(), {"known": known}
    found = torch.from_numpy(session.run(None, feed)[0])
    close(found, model.sample(2, seed=4, steps=steps, **asked).data)
    assert names - {"noise", "label", "given"} == ({*NUMBERS} if kind == "variational" else set())


@pytest.mark.parametrize("process", ["masked", "uniform_tokens"])
def test_texts(process: str, tmp_path: Path) -> None:
    """Log-probabilities; the code of the card draws texts whose tokens follow what the model says."""
    model, folder = made(
        Facts(shape=(1, 6), categories=5, modality={"vocabulary": ["a", "b", "c"]}), modality={"name": "text"},
        process={"name": process}, denoiser={"name": "categorical"},
    ), tmp_path / "out"  # fmt: skip
    found = export(model, folder)
    assert max(found.differences.values()) < 1e-5
    (code,) = code_of(folder)
    made_ = run_code(code.replace("n, rng = 4,", "n, rng = 3000,"), folder)
    ours = model.sample(3000, sampler="tokens", steps=6, batch=3000).data
    assert made_.shape == ours.shape
    for place in range(6):
        shares = [torch.bincount(one[:, 0, place], minlength=5) / 3000 for one in (made_, ours)]
        assert float((shares[0] - shares[1]).abs().max()) < 0.06  # 4.6 standard errors of the difference
    with pytest.raises(UnsupportedError, match="leave --loop out"):
        export(model, tmp_path / "loop", loop=True)


def test_large_weights_lie_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And are found where the folder is moved to."""
    monkeypatch.setattr(onnx_graph, "LARGE", 0)
    found = export(made(PICTURES, denoiser={"name": "consistency"}), tmp_path / "out")
    assert "model.onnx.data" in found.files
    shutil.move(tmp_path / "out", tmp_path / "moved")
    onnx.checker.check_model(str(tmp_path / "moved" / "model.onnx"))
    assert run_code(code_of(tmp_path / "moved")[0], tmp_path / "moved").shape == (4, 1, 8, 8)


class Wrong(nn.Module):
    """Answers otherwise when it is exported."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> Tensor:
        answer: Tensor = self.network(*inputs)
        return answer * 1.01 if torch.compiler.is_exporting() else answer


def test_what_is_refused(tmp_path: Path) -> None:
    """In one sentence, and nothing is left behind."""
    model = made(PICTURES)
    noisy = made(Facts(shape=(1, 8, 8)), schedule={"name": "additive", "steps": 5},
                 process={"name": "additive", "noise_kind": "uniform"})  # fmt: skip
    wrong = made(PICTURES)
    wrong.denoiser.network = Wrong(wrong.denoiser.network)
    cases: list[tuple[Model, dict[str, Any], str]] = [
        (wrong, {}, r"model\.onnx answers otherwise than torch: by 0\.0\d+ of the largest value, more than 0\.0001"),
        (model, {"format": "diffusers"}, "The network is a MLP of ours.*--format onnx"),
        (noisy, {"loop": True}, "AdditiveChain is not Gaussian"),
        (model, {"loop": True, "sampler": "picard"}, "name that one"),
        (model, {"loop": True, "sampler": "posterior"}, "needs a sample"),
        (model, {"loop": True, "against": "weak", "guidance": 2.0}, "keeps no weak version"),
        (made(Facts(shape=(1, 8, 8))), {"loop": True, "guidance": 2.0}, "neither labels nor captions"),
    ]
    for case, settings, message in cases:
        with pytest.raises(UserError, match=message):
            export(case, tmp_path / "out", **settings)
        assert not list(tmp_path.iterdir())
    export(noisy, tmp_path / "out")
    run_code(code_of(tmp_path / "out")[0], tmp_path / "out")
    before = sorted((tmp_path / "out").iterdir())
    with pytest.raises(UserError, match="is there already and not an empty folder"):
        export(noisy, tmp_path / "out")
    assert sorted((tmp_path / "out").iterdir()) == before


# diffusers -----------------------------------------------------------------------------------------------------------------

OFFSET = {**STABLE, "steps_offset": 1}
PIPELINES: dict[str, Callable[[Path], Path]] = {
    "stable": lambda folder: stable_diffusion(folder, diffusers.PNDMScheduler(**OFFSET, skip_prk_steps=True)),
    "xl": lambda folder: stable_diffusion_xl(folder, diffusers.EulerDiscreteScheduler(**OFFSET)),
    "plain": lambda folder: unconditional(folder, diffusers.DDPMScheduler(beta_end=0.02)),
    "codes": lambda folder: latent_diffusion(folder, diffusers.DDIMScheduler(**STABLE, clip_sample=False)),
}


@pytest.mark.parametrize("kind", PIPELINES)
def test_a_pipeline_comes_back(kind: str, tmp_path: Path) -> None:
    """Changed weights and all: diffusers makes the same of the folder, and so do we."""
    model: Any = pellucid.load(PIPELINES[kind](tmp_path / "in"))
    (tmp_path / "in" / "README.md").write_text("Terms of the pipeline")
    (tmp_path / "in" / "whole.safetensors").write_bytes(b"the same once more")
    for value in model.denoiser.network.parameters():
        value.data.mul_(1.05)
    found = export(model, tmp_path / "out", format="diffusers", seed=3)
    assert found.differences["pipeline"] < 1e-4
    assert not {"whole.safetensors", "diffusion_pytorch_model.bin"} & {Path(file).name for file in found.files}
    assert (tmp_path / "out" / "BASE.md").read_text() == "Terms of the pipeline"
    pipeline = diffusers.DiffusionPipeline.from_pretrained(tmp_path / "out")
    kept = pipeline.unet.state_dict()
    assert all(torch.equal(kept[name], value) for name, value in model.denoiser.network.state_dict().items())
    again = pellucid.load(tmp_path / "out")
    asked: dict[str, Any] = {"prompt": "a cat"} if model.facts.captions else {}
    assert torch.equal(again.sample(1, steps=2, **asked).data, model.sample(1, steps=2, **asked).data)
    assert "DiffusionPipeline.from_pretrained" in code_of(tmp_path / "out")[0]


def test_a_pipeline_that_would_come_back_otherwise(tmp_path: Path) -> None:
    """Its autoencoder is not the one of the folder."""
    model: Any = pellucid.load(PIPELINES["stable"](tmp_path / "in"))
    model.codec.network.decoder.conv_out.bias.data.add_(0.5)
    with pytest.raises(UnsupportedError, match="diffusers makes other pictures of what was written"):
        export(model, tmp_path / "out", format="diffusers")
    assert not (tmp_path / "out").exists()


def test_a_pipeline_in_half_precision_files(tmp_path: Path) -> None:
    """Files that diffusers would look for only if told to."""
    folder = PIPELINES["plain"](tmp_path / "in")
    network = diffusers.UNet2DModel.from_pretrained(folder / "unet")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    network.half().save_pretrained(folder / "unet", variant="fp16")
    export(pellucid.load(folder), tmp_path / "out", format="diffusers")
    assert diffusers.DiffusionPipeline.from_pretrained(tmp_path / "out").unet.dtype == torch.float32


def test_a_pipeline_as_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts come as what the text encoder made of them."""
    monkeypatch.setattr(onnx_export, "strides_of", lambda _model: None)  # tracing of open sizes takes four times as long
    model = pellucid.load(stable_diffusion(tmp_path / "in", diffusers.DDIMScheduler(**OFFSET, clip_sample=False)))
    found = export(model, tmp_path / "out")
    assert {"conditions.npz", "decoder.onnx", "model.onnx"} < set(found.files)
    assert run_code(code_of(tmp_path / "out")[0], tmp_path / "out").shape == (4, 3, 16, 16)


# the command ---------------------------------------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its JSON, its card with what the model knows of itself, its refusals."""
    model = made(PICTURES)
    model.card = {
        "data_source": "24 squares by nobody (CC0)", "data_count": 24, "samples_seen": 96, "minutes": 1.5, "seed": 7,
        "curve": {"metric": "frechet", "features": "fixed", "n": 400, "floor": 0.1, "points": [
            {"value": 1.234, "low": 1.1, "high": 1.4, "calls": 12, "settings": {}},
        ]},
    }  # fmt: skip
    model.save(tmp_path / "squares.safetensors")
    code, out, _ = call(f"export {tmp_path}/squares.safetensors --out {tmp_path}/out --json --quiet", capsys)
    told = json.loads(out)
    assert (code, told["files"]) == (0, ["README.md", "model.json", "model.onnx"])
    assert told["differences"]["model.onnx"] < 1e-4
    text = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    for part in ("# squares", "24 squares by nobody (CC0)", "| samples seen | 96 |", "0 a, 1 b; 2 asks for none",
                 "frechet 1.23, 95% interval 1.1 to 1.4, in 12 network calls, N = 400", "onnxruntime 1."):  # fmt: skip
        assert part in text
    for words, message in (
        (f"{tmp_path}/squares.safetensors --out {tmp_path}/out", "not an empty folder"),
        (f"{tmp_path}/squares.safetensors --out {tmp_path}/b --steps 3", "--steps 3 has no effect without --loop"),
        (f"{tmp_path}/squares.safetensors --out {tmp_path}/b --format diffusers --loop", "diffusers has the loop itself"),
        (f"{tmp_path}/squares.safetensors --out {tmp_path}/b --format diffusers", "MLP of ours"),
        (f"{tmp_path}/squares.safetensors --out {tmp_path}/b --loop --sampler picard", "name that one"),
    ):
        code, out, err = call(f"export {words}", capsys)
        assert (code, out) == (2, "")
        assert re.search(message, err)
        assert not (tmp_path / "b").exists()


def test_nothing_is_written_without_what_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None if name == "onnx" else object())
    with pytest.raises(UnsupportedError, match=r"needs onnx: pip install 'pellucid\[engine\]'"):
        export(made(PICTURES), tmp_path / "out")
    assert not (tmp_path / "out").exists()
