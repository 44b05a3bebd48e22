"""The weak version that a run keeps beside its model, and sampling against it."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pellucid.core.errors import ConfigError
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run

SETTINGS = (
    "network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "training.samples=320",
    "training.checkpoint_samples=80", "training.keep_checkpoints=9", "training.weak=0.25", "training.ema=[0.1,0.2]",
    "training.warmup=32",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("weak") / "run"
    run(apply_settings(RunConfig(), [f"data.path={pictures}", *SETTINGS]), out)
    return out


def test_it_is_the_widest_average_at_its_share_of_training(trained: Path) -> None:
    """A quarter of 320 samples: what the checkpoint of sample 80 says, in every later checkpoint and in the model file."""
    then = load_file(trained / "checkpoints" / "000000000080.safetensors")
    model = load_file(trained / "model.safetensors")
    last = load_file(trained / "checkpoints" / "000000000320.safetensors")
    names = [name.removeprefix("weak.") for name in model if name.startswith("weak.")]
    assert names == [name.removeprefix("denoiser.") for name in model if name.startswith("denoiser.")]
    for name in names:
        assert torch.equal(model[f"weak.{name}"], then[f"ema.0.2.{name}"])
        assert torch.equal(last[f"weak.{name}"], then[f"ema.0.2.{name}"])
    assert any(not torch.equal(model[f"weak.{name}"], model[f"denoiser.{name}"]) for name in names)


def test_sampling_leads_away_from_it(trained: Path, tmp_path: Path) -> None:
    """With and without a label, also in a file that was saved again: D = weak + w (strong - weak) at the first step."""
    model = Model.load(trained)
    model.save(tmp_path / "again.safetensors")
    again = Model.load(tmp_path / "again.safetensors")
    assert again.weak is not None
    for label in ("all", None):
        made = again.sample(3, label=label, guidance=2.0, against="weak", steps=1, sampler="euler")
        strong = model.sample(3, label=label, steps=1, sampler="euler")
        model.denoiser, model.weak = model.weak, model.denoiser  # type: ignore[assignment]
        weak = model.sample(3, label=label, steps=1, sampler="euler")
        model.denoiser, model.weak = model.weak, model.denoiser  # type: ignore[assignment]
        assert (strong.nfe, made.nfe) == (1, 2)
        torch.testing.assert_close(made.data, 2 * strong.data - weak.data, rtol=0, atol=1e-5)
        assert not torch.equal(strong.data, weak.data)


def test_a_model_without_it_says_so(pictures: Path, tmp_path: Path) -> None:
    """When it samples, and before a run is trained that could not be sampled as it asks to be."""
    config = apply_settings(RunConfig(), [f"data.path={pictures}", *SETTINGS[:4], "training.samples=16"])
    model = run(config, tmp_path / "run")
    with pytest.raises(ConfigError, match="keeps no weak version of itself"):
        model.sample(1, guidance=2.0, against="weak")
    with pytest.raises(ConfigError, match=r"against = 'weka'.* 'weak'"):
        model.sample(1, guidance=2.0, against="weka")
    asked = apply_settings(config, ["sampling.against=weak", "sampling.guidance=2.0"])
    with pytest.raises(ConfigError, match="keeps no weak version"):
        run(asked, tmp_path / "other")
    assert not (tmp_path / "other" / "config.toml").exists()
