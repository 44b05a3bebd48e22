"""Features reused from step to step: when they are computed anew, that nothing else changes, and what is refused."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch

from pellucid.cli.app import _run
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key
from pellucid.interop.load import load
from pellucid.interop.reuse import Clock, Reused, measure, reuse
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from tiny_pipelines import STABLE, stable_diffusion

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")  # diffusers
ASKED: dict[str, Any] = {"steps": 6, "sampler": "ddim", "seed": 3}


def made(network: dict[str, Any] | None = None) -> Model:
    config = ModelConfig(network=network or {"name": "unet", "channels": [8, 16, 16], "patch": 1})
    model = Model.create(config, Facts(shape=(1, 8, 8)), 0)
    for place, value in enumerate(model.denoiser.parameters()):
        value.data.copy_(Key(0, "weights").normal([place], tuple(value.shape))[0] / 4)
    for part in model.parts().values():
        part.eval().requires_grad_(False)
    return model


def counted(model: Model) -> list[int]:
    """Grows at each call of the coarse part."""
    calls: list[int] = []
    model.denoiser.network.levels.inner.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    return calls


def test_the_clock() -> None:
    clock, fresh = Clock(3), []
    for level in (9, 8, 7, 6, 5, 9, 8, 8, 7):
        clock.tick(level)
        fresh.append(clock.fresh)
    assert fresh == [True, False, False, True, False, True, False, False, True]


@pytest.mark.parametrize("every", [2, 4])
def test_the_coarse_part_is_called_so_often(every: int) -> None:
    """In each batch of samples from its first call on; batches do not share features, so their size changes nothing."""
    plain, model = made(), made()
    expected, calls = plain.sample(5, **ASKED).data, counted(model)
    reuse(model, every)
    samples = model.sample(5, **ASKED).data
    assert len(calls) == -(-6 // every)
    calls.clear()
    torch.testing.assert_close(model.sample(5, batch=2, **ASKED).data, samples, rtol=0, atol=1e-5)
    assert len(calls) == 3 * -(-6 // every)
    assert 1e-4 < (samples - expected).abs().max() < 10
    assert torch.equal(model.sample(5, **{**ASKED, "steps": 1}).data, plain.sample(5, **{**ASKED, "steps": 1}).data)


def test_its_cost_is_measured() -> None:
    plain = made().sample(3, **ASKED).data
    model = made()
    cost = measure(model, 2, 3, **ASKED)
    rms = (model.sample(3, **ASKED).data.double() - plain.double()).square().mean().sqrt()
    assert cost.difference == pytest.approx(float(rms))
    assert cost.speed > 0


def test_a_pipeline(tmp_path: Path) -> None:
    """What is below its finest level is left out of every second call; the first step is as it was."""
    folder = stable_diffusion(tmp_path / "sd", diffusers.DDIMScheduler(**STABLE, steps_offset=1, clip_sample=False))
    plain, model = load(folder), load(folder)
    reuse(model, 2)
    network: Any = model.denoiser.network
    assert [isinstance(block, Reused) for block in network.down_blocks] == [False, True]
    assert [isinstance(block, Reused) for block in network.up_blocks] == [True, False]
    assert torch.equal(model.generate("a", steps=1).data, plain.generate("a", steps=1).data)
    several = [one.generate("a cat", n=2, steps=4).data for one in (plain, model)]
    assert 0 < (several[0] - several[1]).abs().max() < 1


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected 2 or more"):
        reuse(made(), 1)
    for network in ({"name": "mlp", "width": 8, "depth": 1}, {"name": "unet", "channels": [8]}):
        with pytest.raises(UnsupportedError, match="no coarser levels"):
            reuse(made(network), 2)
    made().save(tmp_path / "m.safetensors")
    asked = ["sample", str(tmp_path / "m.safetensors"), "-n", "2", "--out", str(tmp_path / "a.png"), "--quiet"]
    assert _run([*asked, "--reuse", "2", "--engine", "onnx"]) == 2
    assert _run([*asked, "--reuse", "2"]) == 0
