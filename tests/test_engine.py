"""Networks run by an engine: the samples are torch's, graphs are kept, what cannot be run so is refused or left."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor, nn

from pellucid.cli.app import _run
from pellucid.core.errors import UnsupportedError
from pellucid.core.precision import has_bfloat16
from pellucid.core.random import Key
from pellucid.interop import onnx_graph, products
from pellucid.interop.engine import ENGINES, _Trial, accelerate
from pellucid.interop.load import load
from pellucid.interop.onnx_runtime import OnnxRuntime
from pellucid.interop.packed import Packed
from pellucid.interop.products import Products
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.networks import networks
from pellucid.networks.initialise import initialise
from tiny_pipelines import STABLE, stable_diffusion

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of diffusers and of onnxscript


@pytest.fixture(autouse=True, scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder / "pellucid" / "engine"


def made() -> Model:
    config = ModelConfig(network={"name": "mlp", "width": 16, "depth": 1})
    model = Model.create(config, Facts(shape=(1, 8, 8), labels=("a", "b")), 0)
    for place, value in enumerate(model.denoiser.network.parameters()):
        value.data.copy_(Key(0, "weights").normal([place], tuple(value.shape))[0] / 10)
    for part in model.parts().values():
        part.eval().requires_grad_(False)
    return model


@pytest.mark.parametrize("name", list(networks))
def test_every_network(name: str, cache: Path) -> None:
    """The same answers as torch's, for other inputs and another number of samples than it was exported with."""
    network, shape = networks[name].example()
    initialise(network, Key(0, "init"))
    for place, value in enumerate(network.parameters()):
        value.data.copy_(Key(0, "weights").normal([place], tuple(value.shape))[0] / 10)
    network.eval().requires_grad_(False)
    engine, packed = OnnxRuntime(network), Packed(network)
    for rows in (2, 1, 5):
        x, c_noise = (Key(rows, "x").normal(range(rows), size) for size in (shape[1:], ()))
        vector = Key(rows, "v").normal(range(rows), (network.embedding_width,))
        tokens = Key(rows, "t").normal(range(rows), (4, network.token_width)) if network.token_width else None
        x, c_noise, vector = x.float(), c_noise.float(), vector.float()
        said = (x, c_noise, vector, None if tokens is None else tokens.float())
        expected = network(*said)
        for answering in (engine, packed):
            found = answering(*said)
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    assert len(engine._sessions) == 1
    kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*.onnx")}
    OnnxRuntime(network)(*said)
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.onnx")} == kept


@pytest.mark.parametrize("kind", list(ENGINES))
def test_samples_are_the_same(kind: Any) -> None:
    """With labels and guidance."""
    asked: dict[str, Any] = {"label": "all", "guidance": 2.0, "steps": 4, "seed": 3}
    expected, model = made().sample(3, **asked).data, made()
    found = accelerate(model, kind, rows=2)
    assert found is not None
    assert found.difference < 1e-5
    assert isinstance(model.denoiser.network, ENGINES[kind])
    torch.testing.assert_close(model.sample(3, **asked).data, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", list(ENGINES))
def test_tokens(kind: Any) -> None:
    """Probabilities within rounding, and the same texts."""
    config = ModelConfig(
        modality={"name": "text"}, process={"name": "masked"}, denoiser={"name": "categorical"},
        network={"name": "transformer", "patch": 1, "width": 32, "depth": 1},
    )  # fmt: skip
    model = Model.create(config, Facts(shape=(1, 8), categories=5), 0)
    for place, value in enumerate(model.denoiser.parameters()):
        value.data.copy_(Key(0, "weights").normal([place], tuple(value.shape))[0] / 10)
    for part in model.parts().values():
        part.eval().requires_grad_(False)
    expected = model.sample(3, steps=4).data
    found = accelerate(model, kind, rows=2)
    assert found is not None
    assert found.difference < 1e-5
    assert torch.equal(model.sample(3, steps=4).data, expected)


@pytest.mark.parametrize(("speeds", "chosen"), [((1.5, 1.2), Packed), ((1.2, 1.5), OnnxRuntime), ((0.9, 1.04), None)])
def test_auto_takes_the_fastest(speeds: tuple[float, float], chosen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Trial, "speeds", lambda _self, engines, _rounds: dict(zip(engines, speeds, strict=True)))
    model = made()
    plain = model.denoiser.network
    found = accelerate(model, "auto", rows=2)
    if chosen is None:
        assert found is None
        assert model.denoiser.network is plain
    else:
        assert found is not None
        assert found.engine == chosen.called
        assert isinstance(model.denoiser.network, chosen)
    assert accelerate(made(), "torch") is None


def test_a_pipeline(tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path / "sd", diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False))
    for kind in ENGINES:
        model = load(folder)
        expected = model.generate("a cat", steps=2).data
        assert accelerate(model, kind, rows=1) is not None
        torch.testing.assert_close(model.generate("a cat", steps=2).data, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("halves", [True, False])
@pytest.mark.parametrize("packed", [False, True])
def test_products_of_a_network_by_diffusers(
    packed: bool, halves: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linear layers, convolutions and attention, in float32 and in bfloat16; gradients are torch's."""
    if halves and not has_bfloat16("cpu"):
        pytest.skip("oneDNN computes nothing in bfloat16 here")
    monkeypatch.setattr(products, "has_bfloat16", lambda _device: halves)
    folder = stable_diffusion(tmp_path / "sd", diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False))
    network: Any = load(folder).denoiser.network
    width = network.config.cross_attention_dim
    said = [Key(0, name).normal(range(2), shape).float() for name, shape in (("x", (4, 16, 16)), ("text", (7, width)))]
    time = torch.tensor([1.0, 500.0])
    with torch.no_grad():
        expected = network(said[0], time, said[1]).sample
        with Products(packed=packed) as ours:
            found = [network(said[0], time, said[1]).sample for _ in range(2)]
        network.bfloat16()
        with Products(packed=packed):
            rounded = network(said[0].bfloat16(), time, said[1].bfloat16()).sample
    assert bool(ours._kept) == packed
    for one in found:
        torch.testing.assert_close(one, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert 0 < float((rounded - expected).abs().max()) < 0.1 * float(expected.abs().max())
    x = said[0].bfloat16().requires_grad_()
    with Products(packed=packed):
        (gradient,) = torch.autograd.grad(network(x, time, said[1].bfloat16()).sample.sum(), x)
    assert gradient.abs().max() > 0


@pytest.mark.parametrize("kind", list(ENGINES))
def test_gradients_are_torchs(kind: Any) -> None:
    model = made()
    plain = model.denoiser.network
    accelerate(model, kind, rows=2)
    x = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8).requires_grad_()
    with torch.enable_grad():
        (ours,) = torch.autograd.grad(model.denoiser(x, torch.tensor(0.5)).mean.sum(), x)
        model.denoiser.network = plain
        (theirs,) = torch.autograd.grad(model.denoiser(x, torch.tensor(0.5)).mean.sum(), x)
    assert torch.equal(ours, theirs)


class Wrong(nn.Module):
    """Answers otherwise when it is exported."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor, *rest: Any) -> Tensor:
        answer: Tensor = self.network(x, *rest)
        return answer + 1 if torch.compiler.is_exporting() else answer


def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By name for "onnx", silently left to another for "auto"; the network is as it was."""
    monkeypatch.setattr(_Trial, "speeds", lambda _self, engines, _rounds: dict.fromkeys(engines, 1.0))
    model = made()
    model.denoiser.network = wrong = Wrong(model.denoiser.network)
    assert accelerate(model, "auto", rows=2) is None
    with pytest.raises(UnsupportedError, match="differ from torch's"):
        accelerate(model, "onnx", rows=2)
    assert model.denoiser.network is wrong
    with pytest.raises(UnsupportedError, match="float32"):
        accelerate(_double(made()), "onnx")
    assert accelerate(_double(made()), "auto") is None
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    with pytest.raises(UnsupportedError, match="has not, or otherwise: leave engine out"):
        accelerate(made(), "packed")
    monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None if name == "onnxruntime" else object())
    with pytest.raises(UnsupportedError, match=r"needs onnxruntime: pip install 'pellucid\[engine\]'"):
        accelerate(made(), "onnx")
    assert accelerate(made(), "auto") is None
    made().save(tmp_path / "m.safetensors")
    asked = ["sample", str(tmp_path / "m.safetensors"), "-n", "2", "--out", str(tmp_path / "a.png"), "--quiet"]
    assert _run([*asked, "--engine", "onnx"]) == 2
    assert _run([*asked, "--engine", "auto"]) == 0


def _double(model: Model) -> Model:
    model.denoiser.double()
    return model
