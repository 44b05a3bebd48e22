"""The same seed gives the same samples, whatever shares the batch, whatever came before, however many threads there are."""

from hashlib import blake2b
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.core.random import Key
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model

LABELS = ("bag", "coat", "shoe")
NETWORKS: dict[str, dict[str, Any]] = {
    "unet": {"name": "unet", "channels": (8, 16), "attention": True},
    "transformer": {"name": "transformer", "width": 32, "depth": 2, "heads": 2, "patch": 2},
    "mlp": {"name": "mlp", "width": 32, "depth": 2},
}
STOCHASTIC = ("ancestral", "dpmpp_sde", {"name": "ddim", "eta": 1.0}, {"name": "heun", "churn": 20})


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


class Recorder(Identity):
    """A codec that keeps what it decodes, before samples are made float32."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def decode(self, z: Tensor) -> Tensor:
        self.seen.append(z)
        return z


def model(network: str = "unet", dtype: torch.dtype = torch.float32, side: int = 8, **parts: Any) -> Model:
    """A labelled model in which nothing is zero, so every part of it has a say in the samples."""
    config = ModelConfig(network=NETWORKS[network], **parts)
    made = Model.create(config, Facts(shape=(1, side, side), labels=LABELS))
    with torch.no_grad():
        for name, parameter in made.denoiser.named_parameters():
            if not parameter.any():
                identity = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
                parameter.copy_(0.3 * Key(0, "test").normal([identity], parameter.shape)[0] / len(parameter) ** 0.5)
    made.denoiser.to(dtype).eval()
    return made


def sampled(made: Model, n: int, **settings: Any) -> Tensor:
    """Samples in the model's own dtype, under guidance unless told otherwise."""
    made.codec = Recorder()
    made.sample(n, **{"label": "all", "guidance": 2.5, "steps": 6, **settings})
    return torch.cat(made.codec.seen)


@pytest.mark.parametrize("sampler", ["heun", "unipc", *STOCHASTIC], ids=str)
@pytest.mark.parametrize("network", list(NETWORKS))
def test_a_sample_alone_equals_the_one_in_a_batch(network: str, sampler: Any) -> None:
    """In float64, with guidance: 64 at once, 10 at a time and one by one agree within 1e-9; in float32 within 1e-3."""
    n = 64 if network == "unet" and sampler == "ancestral" else 12
    for dtype, bar in ((torch.float64, 1e-9), (torch.float32, 1e-3)):
        made = model(network, dtype=dtype)
        together = sampled(made, n, sampler=sampler, batch=64)
        assert together.dtype == dtype
        assert float(together.std()) > 0.1
        for batch in (1, 10):
            assert float((sampled(made, n, sampler=sampler, batch=batch) - together).abs().max()) < bar


@pytest.mark.parametrize("kind", ["gaussian", "uniform"])
def test_nor_does_it_in_an_additive_chain(kind: str) -> None:
    """The chain's increments are keyed by sample too."""
    parts = {"schedule": {"name": "additive", "steps": 10}, "process": {"name": "additive", "noise_kind": kind}}
    made = model("mlp", dtype=torch.float64, **parts)
    together = sampled(made, 64, sampler="ancestral", steps=10)
    assert float((sampled(made, 64, sampler="ancestral", steps=10, batch=1) - together).abs().max()) < 1e-9


@pytest.mark.parametrize("sampler", ["ddim", *STOCHASTIC], ids=str)
def test_sample_i_does_not_depend_on_n(sampler: Any) -> None:
    """The first three of seven are the three: noise of the prior and of every step is keyed by (seed, i)."""
    made = model(dtype=torch.float64)
    assert float((sampled(made, 7, sampler=sampler)[:3] - sampled(made, 3, sampler=sampler)).abs().max()) < 1e-9


@pytest.mark.parametrize("sampler", ["ddim", *STOCHASTIC], ids=str)
def test_same_seed_same_bits_other_seed_other_samples(sampler: Any) -> None:
    """Twice the same call gives the same bits, whatever torch's and Python's own generators did in between."""
    made = model()
    first = sampled(made, 4, sampler=sampler, seed=5)
    torch.manual_seed(99)
    torch.rand(7)
    assert torch.equal(sampled(made, 4, sampler=sampler, seed=5), first)
    other = sampled(made, 4, sampler=sampler, seed=6)
    correlation = torch.corrcoef(torch.stack([first.flatten(), other.flatten()]))[0, 1]
    assert float((first - other).abs().mean()) > 0.1
    assert float(correlation) < 0.95


def test_samples_of_one_call_differ() -> None:
    """Two ids never share noise, even in different batches."""
    found = sampled(model(), 6, label="bag", batch=2).flatten(1)
    assert float(torch.cdist(found, found).fill_diagonal_(9.0).min()) > 0.5


@pytest.mark.parametrize("network", list(NETWORKS))
def test_threads_do_not_matter(network: str) -> None:
    """One and two threads agree within 1e-5 in float32, guidance and a stochastic sampler included."""
    made, found = model(network, side=28), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        found.append(sampled(made, 32, sampler="ancestral"))
    assert float((found[0] - found[1]).abs().max()) < 1e-5


@pytest.mark.parametrize("network", list(NETWORKS))
def test_saved_and_loaded_gives_the_same_bits(network: str, tmp_path: Path) -> None:
    """Not one bit of a sample changes when the model goes through a file."""
    made = model(network)
    before = made.sample(5, label="all", guidance=2.5, steps=6, sampler="ancestral", seed=3)
    made.save(tmp_path / "model.safetensors")
    after = Model.load(tmp_path / "model.safetensors").sample(
        5, label="all", guidance=2.5, steps=6, sampler="ancestral", seed=3
    )
    assert torch.equal(before.data, after.data)
    assert before.labels == after.labels == ("bag", "coat", "shoe", "bag", "coat")


def test_saved_and_loaded_in_float64(tmp_path: Path) -> None:
    """A model trained with training.precision = 'float64' comes back in float64."""
    made = model("mlp", dtype=torch.float64)
    made.save(tmp_path / "model.safetensors")
    loaded = Model.load(tmp_path / "model.safetensors")
    assert loaded.dtype == torch.float64
    assert torch.equal(sampled(loaded, 3), sampled(made, 3))


def test_the_seed_alone_sets_the_starting_weights() -> None:
    """Same seed, same weights, whatever torch's generator holds; another seed changes every weight that is drawn."""
    config, facts = ModelConfig(network=NETWORKS["unet"]), Facts(shape=(1, 8, 8), labels=LABELS)
    torch.manual_seed(1)
    first = Model.create(config, facts, 4).tensors()
    torch.manual_seed(2)
    again, other = Model.create(config, facts, 4).tensors(), Model.create(config, facts, 5).tensors()
    assert all(torch.equal(first[name], again[name]) for name in first)
    drawn = [name for name, value in first.items() if value.ndim > 1 and value.any()]
    assert len(drawn) > 5
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


def test_starting_weights_do_not_depend_on_the_other_layers() -> None:
    """Labels add a table and change nothing else; a deeper network starts with the shallower one's weights."""
    config = ModelConfig(network=NETWORKS["mlp"])
    deeper = ModelConfig(network={**NETWORKS["mlp"], "depth": 3})
    plain = Model.create(config, Facts(shape=(1, 8, 8))).tensors()
    for other in (Model.create(config, Facts(shape=(1, 8, 8), labels=LABELS)), Model.create(deeper, Facts(shape=(1, 8, 8)))):
        larger = other.tensors()
        assert len(larger) > len(plain)
        assert all(torch.equal(value, larger[name]) for name, value in plain.items())
