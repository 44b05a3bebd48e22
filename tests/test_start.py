"""Training that goes out from a model: what it takes over, what adapters change, and that none of it hinders resuming."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pellucid.cli.app import _run
from pellucid.core.errors import ConfigError, InterruptedRunError, ModelError
from pellucid.core.random import Key
from pellucid.model.model import Model
from pellucid.networks import networks
from pellucid.networks.initialise import initialise
from pellucid.networks.low_rank import LowRank, adapt, merge
from pellucid.training.config import load_config
from pellucid.training.start import GENTLE
from pellucid.training.train import train
from picture_files import picture

SMALL = (
    "network.name=mlp", "network.width=32", "network.depth=2", "training.batch=16", "training.log_samples=16",
    "text.features=16", "text.depth=1", "text.length=6", "training.evaluate=false", "sampling.steps=6",
    "training.precision=float32", "training.warmup=64", "training.ema=[0.05]",
)  # fmt: skip
QUICK = (
    "training.evaluate=false", "training.batch=16", "training.precision=float32", "training.warmup=64", "training.ema=[0.05]"
)
LABELS = "denoiser.conditioners.label.table.weight"


def folder(place: Path, labels: dict[str, int]) -> Path:
    for label, grey in labels.items():
        for index in range(12):
            file = place / label / f"{index}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(picture(grey + index % 2))
            file.with_suffix(".txt").write_text(f"a {label} thing", encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two labels, with captions."""
    home = tmp_path_factory.mktemp("start")
    train(folder(home / "data", {"dark": 2, "light": 24}), home / "base", samples=3072, settings=SMALL)
    return home / "base"


def test_what_is_taken_over(base: Path, tmp_path: Path) -> None:
    """Parts, size, weights, rows of known labels and known words; a rate that changes little; only new labels start anew."""
    data = folder(tmp_path / "data", {"light": 20, "red": 12})
    made = train(data, tmp_path / "run", start=base, samples=16, settings=[*QUICK, "optimiser.learning_rate=1e-9"])
    old, config = Model.load(base), load_config(tmp_path / "run" / "config.toml")
    assert (made.facts.labels, config.optimiser["name"]) == (("light", "red"), "muon")
    assert config.denoiser["sigma_data"] == old.facts.std
    ours, theirs = made.tensors(), old.tensors()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        if name == LABELS:
            torch.testing.assert_close(value[[0, 2]], theirs[name][[1, 2]], rtol=0, atol=1e-6)
            assert (value[1] - theirs[name][0]).abs().max() > 0.1
        elif not name.endswith("vocabulary"):
            assert value.shape == theirs[name].shape
            torch.testing.assert_close(value, theirs[name], rtol=0, atol=1e-6)
    caption = made.conditioners["caption"]
    assert {"dark", "red", "light", "thing"} <= caption.known_words()  # type: ignore[operator]
    train(data, tmp_path / "gentle", start=str(base), samples=16, settings=QUICK)
    assert load_config(tmp_path / "gentle" / "config.toml").optimiser["learning_rate"] == GENTLE


def test_it_learns_the_new_data(base: Path, tmp_path: Path) -> None:
    """Closer to it than the model that it went out from, whole and by adapters, which leave an ordinary model file."""
    data = folder(tmp_path / "data", {"light": 6})
    before = Model.load(base).sample(32, label="light", seed=1).data.mean()
    for name, more in (("whole", []), ("adapters", ["training.rank=2"])):
        train(data, tmp_path / name, start=base, samples=1024, settings=[*QUICK, *more, "optimiser.learning_rate=0.01"])
        made = Model.load(tmp_path / name)
        assert made.tensors().keys() == Model.load(base).tensors().keys()
        assert float(made.sample(32, label="light", seed=1).data.mean()) < float(before) - 0.3


def test_adapters_change_weights_by_low_rank_alone(base: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", {"light": 6})
    train(data, tmp_path / "run", start=base, samples=64, settings=[*QUICK, "training.rank=2"])
    new, old = Model.load(tmp_path / "run").tensors(), Model.load(base).tensors()
    moved = {name: (value - old[name]).flatten(1) for name, value in new.items()
             if value.ndim > 1 and name != LABELS and not torch.equal(value, old[name])}  # fmt: skip
    assert len(moved) > 10
    for change in moved.values():
        assert torch.linalg.svdvals(change.double())[2:].max() < 1e-5 * (1 + change.norm())
    gains = [name for name, value in new.items() if value.ndim == 1 and not name.endswith("vocabulary")]
    assert all(torch.equal(new[name], old[name]) for name in gains)


@pytest.mark.parametrize("name", ["unet", "transformer", "mlp"])
def test_adapters_start_as_nothing_and_merge_to_the_same(name: str) -> None:
    network, shape = networks[name].example()
    initialise(network.double(), Key(0, "init"))
    nn.init.normal_(next(p for p in reversed(list(network.parameters())) if p.ndim > 1))
    x, c_noise = torch.randn(shape, dtype=torch.float64), torch.rand(shape[0], dtype=torch.float64)
    plain, names = network(x, c_noise), set(network.state_dict())
    adapt(network, 2, Key(0, "adapters"))
    assert torch.equal(network(x, c_noise), plain)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert 0 < len(trained) < len(list(network.parameters()))
    for part in network.modules():
        if isinstance(part, LowRank):
            nn.init.normal_(part.up, std=0.1)
    adapted = network(x, c_noise)
    assert (adapted - plain).abs().max() > 1e-3
    merge(network)
    torch.testing.assert_close(network(x, c_noise), adapted, rtol=0, atol=1e-12)
    assert set(network.state_dict()) == names


@pytest.mark.parametrize("rank", [0, 2])
def test_resuming_needs_the_model_no_more(base: Path, tmp_path: Path, rank: int) -> None:
    """Stopped after two checkpoints, with the model gone: the same weights to the bit as without a stop."""
    data, kept = folder(tmp_path / "data", {"light": 6}), tmp_path / "model.safetensors"
    kept.write_bytes((base / "model.safetensors").read_bytes())
    settings = [*QUICK, f"training.rank={rank}", "training.checkpoint_samples=32"]
    whole = train(data, tmp_path / "whole", start=kept, samples=96, settings=settings).tensors()
    with pytest.raises(InterruptedRunError):
        train(data, tmp_path / "cut", start=kept, samples=96, settings=settings, observer=Stop(48))
    kept.unlink()
    again = train(None, tmp_path / "cut", resume=True).tensors()
    assert all(torch.equal(value, whole[name]) for name, value in again.items())


class Stop:
    """An observer that stops training after so many samples."""

    def __init__(self, samples: int) -> None:
        self.samples = samples

    def begin(self, *_: object) -> None:
        pass

    def tell(self, *_: object) -> None:
        pass

    def step(self, state: object, *_: object) -> None:
        if getattr(state, "seen", 0) == self.samples:
            raise InterruptedRunError("stopped")


def test_what_is_refused(base: Path, tmp_path: Path) -> None:
    data = folder(tmp_path / "data", {"light": 6})
    with pytest.raises(ConfigError, match="adapters need a model"):
        train(data, tmp_path / "a", samples=16, settings=[*SMALL, "training.rank=2"])
    with pytest.raises(ModelError, match="no model 'nowhere'"):
        train(data, tmp_path / "b", start="nowhere", samples=16)
    with pytest.raises(ConfigError, match=r"No weight of .* fits this network"):
        train(data, tmp_path / "c", start=base, samples=16, settings=["network.name=unet", *QUICK])
    with pytest.raises(ConfigError, match="give one of them"):
        train(data, tmp_path / "d", start=base, recipe="emoji", samples=16)
    assert not any((tmp_path / name / "config.toml").exists() for name in "abcd")
    assert _run(["train", str(data), "--from", str(base), "--out", str(tmp_path / "e"), "--samples", "16", "--quiet"]) == 0
    assert "start.safetensors" in {file.name for file in (tmp_path / "e").iterdir()}
    assert bool(Model.load(tmp_path / "e").sample(1).data.isfinite().all())
