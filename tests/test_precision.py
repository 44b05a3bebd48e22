"""bfloat16: what it is used for, what is kept out of it, and that a run's file says so."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

import pellucid.core.precision
from pellucid.core.precision import default_precision, has_bfloat16
from pellucid.core.random import Key
from pellucid.networks.attention import SelfAttention
from pellucid.networks.convolution import Convolution
from pellucid.networks.initialise import initialise
from pellucid.networks.rotary import Rotary
from pellucid.training.config import RunConfig, apply_settings, load_config, settled
from pellucid.training.loop import run
from pellucid.training.train import train

SMALL = ("network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "training.samples=32",
         "training.evaluate=false")  # fmt: skip


def test_rotations_are_not_rounded() -> None:
    """Positions and angles are the same under autocast, to the last bit: a matrix product would have been rounded."""
    rotary = Rotary(2, 32)
    exact = rotary.angles((17, 23))
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(rotary.angles((17, 23)), exact)
    row, column = rotary.frequencies
    torch.testing.assert_close(exact[16 * 23 + 22], 16 * row + 22 * column)


@pytest.mark.parametrize("halves", [True, False])
def test_attention_under_autocast(halves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a CPU that has bfloat16 it is rounded, not more than all else; on others torch's own is given float32."""
    import pellucid.networks.attention as module

    given: list[torch.dtype] = []
    original = module.scaled_dot_product_attention

    def watched(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        given.extend(each.dtype for each in (q, k, v))
        return original(q, k, v)

    monkeypatch.setattr(module, "scaled_dot_product_attention", watched)
    monkeypatch.setattr(module, "has_bfloat16", lambda _device: halves)
    attention, x = SelfAttention(2, 64, 2), torch.randn(2, 5, 5, 64, generator=torch.Generator().manual_seed(0))
    exact = attention(x)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = attention(x)
    attention.double()(x.double())
    assert given == (3 if halves else 6) * [torch.float32] + 3 * [torch.float64]
    assert 0 < float((rounded - exact).detach().abs().max()) < 0.05 * float(exact.detach().abs().max())


@pytest.mark.parametrize("part", [2**20, 40, 6])
def test_attention_in_bfloat16(part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values and gradients, to the precision of bfloat16, whole and in parts of heads or of queries."""
    import pellucid.networks.attention as module

    monkeypatch.setattr(module, "PART", part)
    q, k, v = (Key(0, n).normal(range(3), (2, length, 8)).requires_grad_() for n, length in (("q", 7), ("k", 5), ("v", 5)))
    wanted = scaled_dot_product_attention(q, k, v)
    expected = torch.autograd.grad(wanted.square().sum(), (q, k, v))
    found = module.attend(*(x.bfloat16() for x in (q, k, v)))
    gradients = torch.autograd.grad(found.double().square().sum(), (q, k, v))
    with torch.no_grad():
        drawn = module.attend(*(x.bfloat16() for x in (q, k, v)))
    for one, other in zip((found, drawn, *gradients), (wanted, wanted, *expected), strict=True):
        assert float((one - other).detach().norm() / other.detach().norm()) < 0.02
    monkeypatch.setattr(module, "MOST_WEIGHTS", 3 * 2 * 7 * 5 - 1)
    with torch.autocast("cpu", torch.bfloat16):
        assert module.attend(q.float(), k.float(), v.float()).dtype == torch.float32


@pytest.mark.parametrize("depth", [2, 3])
def test_volumes_of_depth_two_are_convolved_in_float32(depth: int) -> None:
    """In bfloat16 their gradients were, now and then, no numbers at all; of other depths they are only rounded."""
    layer = Convolution(3, 8, 8)
    initialise(layer, Key(0, "init"))
    x = torch.randn(4, depth, 4, 4, 8, generator=torch.Generator().manual_seed(0))
    gradients = []
    for precision in (torch.float32, torch.bfloat16):
        layer.zero_grad()
        with torch.autocast("cpu", precision, enabled=precision == torch.bfloat16):
            layer(x).float().square().mean().backward()
        assert layer.kernel.weight.grad is not None
        gradients.append(layer.kernel.weight.grad)
    assert torch.equal(*gradients) == (depth == 2)


def test_no_precision_is_claimed_that_a_device_lacks() -> None:
    assert default_precision("meta") == "float32"
    assert default_precision("cpu") == ("bfloat16" if has_bfloat16("cpu") else "float32")


def test_a_run_keeps_the_precision_it_began_with(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Begun where bfloat16 is fast, resumed where it is not: the file says bfloat16, also to a recipe that says nothing."""
    monkeypatch.setattr(pellucid.core.precision, "default_precision", lambda _: "bfloat16")
    config = apply_settings(RunConfig(), [f"data.path={pictures}", *SMALL])
    assert config.training.precision == "auto"
    run(config, tmp_path / "run")
    monkeypatch.setattr(pellucid.core.precision, "default_precision", lambda _: "float32")
    assert load_config(tmp_path / "run" / "config.toml").training.precision == "bfloat16"
    assert settled(config, "cpu").training.precision == "float32"
    config.save(tmp_path / "recipe.toml")
    train(None, tmp_path / "run", recipe=tmp_path / "recipe.toml", resume=True)
    assert load_config(tmp_path / "run" / "config.toml").training.precision == "bfloat16"
