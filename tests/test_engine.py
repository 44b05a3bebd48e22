"""Networks run by ONNX Runtime: the samples are torch's, the graph is kept, what cannot be run so is refused or left."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor, nn

from pellucid.cli.app import _run
from pellucid.core.errors import UnsupportedError
from pellucid.core.random import Key
from pellucid.interop import engine as module
from pellucid.interop.engine import Engine, Gain, accelerate
from pellucid.interop.load import load
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
    engine = Engine(network)
    for rows in (2, 1, 5):
        x, c_noise = (Key(rows, "x").normal(range(rows), size) for size in (shape[1:], ()))
        vector = Key(rows, "v").normal(range(rows), (network.embedding_width,))
        tokens = Key(rows, "t").normal(range(rows), (4, network.token_width)) if network.token_width else None
        x, c_noise, vector = x.float(), c_noise.float(), vector.float()
        said = (x, c_noise, vector, None if tokens is None else tokens.float())
        expected = network(*said)
        torch.testing.assert_close(engine(*said), expected, rtol=0, atol=1e-5 * max(1.0, float(expected.abs().max())))
    assert len(engine._sessions) == 1
    kept = {file: file.stat().st_mtime_ns for file in cache.rglob("*.onnx")}
    Engine(network)(*said)
    assert {file: file.stat().st_mtime_ns for file in cache.rglob("*.onnx")} == kept


def test_samples_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With labels and guidance; "auto" takes it only where it is faster."""
    asked: dict[str, Any] = {"label": "all", "guidance": 2.0, "steps": 4, "seed": 3}
    expected, model = made().sample(3, **asked).data, made()
    found = accelerate(model, "onnx", rows=2)
    assert found is not None
    assert found.difference < 1e-5
    assert isinstance(model.denoiser.network, Engine)
    torch.testing.assert_close(model.sample(3, **asked).data, expected, rtol=0, atol=1e-4)
    assert accelerate(made(), "torch") is None
    for speed in (0.9, 1.5):
        real = module._compared

        def pretended(*given: Any, real: Any = real, speed: float = speed) -> Gain:
            return Gain(real(*given).difference, speed)

        with monkeypatch.context() as patch:
            patch.setattr(module, "_compared", pretended)
            model = made()
            assert (accelerate(model, "auto", rows=2) is not None) == (speed > 1)
            assert isinstance(model.denoiser.network, Engine) == (speed > 1)


def test_a_pipeline(tmp_path: Path) -> None:
    folder = stable_diffusion(tmp_path / "sd", diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False))
    model = load(folder)
    expected = model.generate("a cat", steps=2).data
    assert accelerate(model, "onnx", rows=1) is not None
    torch.testing.assert_close(model.generate("a cat", steps=2).data, expected, rtol=0, atol=1e-4)


def test_gradients_are_torchs() -> None:
    model = made()
    plain = model.denoiser.network
    accelerate(model, "onnx", rows=2)
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
    """By name for "onnx", silently left to torch for "auto"; the network is as it was."""
    model = made()
    model.denoiser.network = wrong = Wrong(model.denoiser.network)
    assert accelerate(model, "auto", rows=2) is None
    with pytest.raises(UnsupportedError, match="differ from torch's"):
        accelerate(model, "onnx", rows=2)
    assert model.denoiser.network is wrong
    with pytest.raises(UnsupportedError, match="float32"):
        accelerate(_double(made()), "onnx")
    monkeypatch.setattr(module, "find_spec", lambda name: None if name == "onnxruntime" else object())
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
