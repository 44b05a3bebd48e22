"""Feature networks: distances that grow with every fault, a classifier that is repeatable, structures as published."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import conv2d, pad

from pellucid.core.cache import cache_folder
from pellucid.core.errors import ConfigError, DataError, ModelError, UnsupportedError
from pellucid.core.random import Key
from pellucid.data.write import write_pack
from pellucid.evaluation import features
from pellucid.evaluation.choose import choose_network, fitting
from pellucid.evaluation.classifier import ClassifierFeatures
from pellucid.evaluation.fixed import FixedFeatures
from pellucid.evaluation.inception import InceptionFeatures
from pellucid.evaluation.source import Source
from pellucid.metrics import Frechet
from pellucid.modalities.image import Image

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist"

Pictures = tuple[Tensor, NDArray[np.int64]]


@pytest.fixture(scope="module")
def fashion() -> Pictures:
    """4,000 pictures and their classes."""
    names = ("t10k-images-idx3-ubyte.gz", 16), ("t10k-labels-idx1-ubyte.gz", 8)
    pixels, labels = (np.frombuffer(gzip.decompress((FASHION / name).read_bytes()), np.uint8, offset=n) for name, n in names)
    return torch.from_numpy(pixels.reshape(-1, 1, 28, 28)[:4000] / np.float32(127.5) - 1), labels[:4000].astype(np.int64)


@pytest.fixture(scope="module")
def digits() -> Pictures:
    found = load_digits()
    return torch.from_numpy(found.images[:, None].astype(np.float32) / 8 - 1), found.target


def packed(folder: Path, pixels: NDArray[np.uint8], labels: NDArray[np.int64] | None = None) -> Source:
    """Pictures (N, ...) in bytes as the data of a run."""
    folder.mkdir(parents=True)
    np.savez(folder / "x.npz", images=pixels, **({} if labels is None else {"labels": labels}))
    return Source(write_pack(Image().read(folder / "x.npz"), folder / "pack"), Image())


def blurred(x: Tensor, width: float) -> Tensor:
    axis = torch.arange(-4.0, 5.0)
    kernel = torch.exp(-(axis**2) / (2 * width**2))
    kernel = kernel / kernel.sum()
    rows = conv2d(pad(x, (4, 4, 0, 0), mode="replicate"), kernel[None, None, None])
    return conv2d(pad(rows, (0, 0, 4, 4), mode="replicate"), kernel[None, None, :, None])


def noisy(x: Tensor, scale: float) -> Tensor:
    return (x + scale * Key(0, "test").normal(range(len(x)), x.shape[1:]).float()).clamp(-1, 1)


def swapped(x: Tensor, labels: NDArray[np.int64], share: float) -> Tensor:
    """That share of the pictures given up for others of the first three classes."""
    few, count = x[torch.from_numpy(labels < 3)], int(share * len(x))
    return torch.cat([few[torch.arange(count) % len(few)], x[count:]])


@pytest.mark.parametrize("data", ["fashion", "digits"])
def test_fixed_features_move_away_with_every_fault(data: str, request: pytest.FixtureRequest) -> None:
    """Fréchet distance to other real pictures, from none of a fault to much of it."""
    pictures, labels = request.getfixturevalue(data)
    order = torch.from_numpy(np.random.default_rng(0).permutation(len(pictures)))
    pictures, labels, half = pictures[order], labels[order.numpy()], len(pictures) // 2
    network = FixedFeatures.load()
    real, others, classes = network.features(pictures[:half]), pictures[half:], labels[half:]

    def distance(faulty: Tensor) -> float:
        return float(Frechet().measure(real, network.features(faulty), np.ones((1, len(faulty))))[0])

    none = distance(others)
    faults: dict[str, list[Tensor]] = {
        "noise": [noisy(others, scale) for scale in (0.05, 0.1, 0.2, 0.4)],
        "blur": [blurred(others, width) for width in (0.5, 0.8, 1.2, 2.0)],
        "content": [swapped(others, classes, share) for share in (0.2, 0.4, 0.7, 1.0)],
    }
    for name, rising in faults.items():
        distances = [none, *map(distance, rising)]
        assert (np.diff(distances) > 0).all(), (name, distances)
        assert distances[-1] > 5 * none, (name, distances)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 48), (5, 9, 31), (2, 3, 3)])
def test_fixed_features_of_any_shape(shape: tuple[int, ...]) -> None:
    """Their number as the docstring says; each picture's are its own; flat pictures have no amplitude."""
    x = Key(0, "x").uniform(range(3), shape).float() * 2 - 1
    scales = 1 + max(0, int(np.log2(min(shape[1:]) / 4)))
    found = FixedFeatures.load().features(x)
    assert found.shape == (3, 16 * shape[0] + 64 * scales)
    np.testing.assert_allclose(FixedFeatures.load().features(x[1:2]), found[1:2], atol=1e-5)
    flat = FixedFeatures.load().features(torch.full((1, *shape), 0.5))
    np.testing.assert_allclose(flat[0, 16 * shape[0] :], 0, atol=1e-4)


def test_fixed_features_know_directions() -> None:
    """Stripes answer at their own direction, at the scale of their width."""
    x = torch.sin(torch.arange(32.0) * 2.2).expand(1, 1, 32, 32)
    across = FixedFeatures.load().features(x)[0, 16:].reshape(4, 4, 16).mean(2)  # scale, direction
    along = FixedFeatures.load().features(x.transpose(2, 3))[0, 16:].reshape(4, 4, 16).mean(2)
    assert across.argmax() == 0
    assert np.unravel_index(along.argmax(), along.shape) == (0, 2)


def test_classifier_learns_is_repeatable_and_is_cached(
    digits: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("pellucid.evaluation.classifier.STEPS_LEAST", 150)
    pictures, labels = digits
    source = packed(tmp_path / "data", Image().encode(pictures)[:, 0], labels)
    assert fitting(source) == "classifier"
    first = choose_network("auto", source)
    assert isinstance(first, ClassifierFeatures)
    assert first.accuracy is not None
    assert 0.95 < first.accuracy < 1
    (kept,) = (tmp_path / "cache").glob("*.safetensors")
    written = kept.stat().st_mtime_ns
    again = ClassifierFeatures.load(source)
    assert kept.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.features(pictures[:9]), first.features(pictures[:9]))
    assert again.accuracy == first.accuracy
    kept.write_bytes(kept.read_bytes()[:100])  # cut short: trained anew, to the same
    torch.manual_seed(1)
    renewed = ClassifierFeatures.load(source)
    np.testing.assert_allclose(renewed.features(pictures[:9]), first.features(pictures[:9]), atol=1e-4)
    assert (first.classes(pictures) == labels).mean() > 0.95


def test_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_CACHE", "/a")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_folder() == Path("/a")
    monkeypatch.delenv("PELLUCID_CACHE")
    assert cache_folder() == Path("/b/pellucid")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "pellucid"


def test_auto_takes_what_fits_the_data(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (600, 28, 28), dtype=np.uint8)
    names = np.array(features["fashion"].load().names)
    assert fitting(packed(tmp_path / "a", pixels, names[np.arange(600) % 10])) == "fashion"
    assert fitting(packed(tmp_path / "b", pixels, np.arange(600) % 10)) == "classifier"
    assert fitting(packed(tmp_path / "c", pixels, np.arange(600) % 200)) == "fixed"  # three of each
    assert fitting(packed(tmp_path / "d", pixels)) == "fixed"
    assert fitting(packed(tmp_path / "e", pixels[:, :8, :8], names[np.arange(600) % 10])) == "classifier"


def golden_weights(network: InceptionFeatures) -> dict[str, Tensor]:
    """Uniform numbers by the place of a parameter's name: kernels of variance 2 / fan-in, gains about 1, biases about 0."""
    found: dict[str, Tensor] = {}
    for place, (name, value) in enumerate(sorted(network.named_parameters())):
        u = Key(0, "golden").uniform([place], value.shape)[0] - 0.5
        scaled = u * (24 / value[0].numel()) ** 0.5 if value.ndim == 4 else u * 0.2 + (not name.endswith("bias"))
        found[name] = scaled.float()
    return found


def test_inception_equals_the_published_structure(tmp_path: Path) -> None:
    """Features 0, 256, 512, ... of a wave of 40 x 30. The same numbers came from the blocks of torch-fidelity 0.4
    (feature_extractor_inceptionv3.py at commit 5e211a9), put in their order and given the same weights and the picture
    resized as here: on random pictures all 2,048 features were equal to the last bit."""
    network = InceptionFeatures()
    statistics = {name: value for name, value in network.state_dict().items() if "running" in name}
    weights = {**golden_weights(network), **statistics, "fc.weight": torch.zeros(1008, 2048)}
    save_file(weights, tmp_path / "weights.safetensors")
    picture = torch.sin(torch.arange(3600, dtype=torch.float64) * 0.7).reshape(1, 3, 40, 30).float()
    found = InceptionFeatures.load(weights=tmp_path / "weights.safetensors").features(picture)
    golden = [1.424755, 1.167962, 1.95702, 0.40148, 0.219793, 0.031615, 1.898587, 0.338226]
    assert found.shape == (1, 2048)
    np.testing.assert_allclose(found[0, ::256], golden, rtol=1e-4)
    assert sum(p.numel() for p in network.parameters()) == 21_785_568


def test_dinov2_sees_what_transformers_sees(tmp_path: Path) -> None:
    """A tiny model with weights at random: class token of the resized, normalised picture; grey as RGB."""
    from transformers import Dinov2Config, Dinov2Model

    torch.manual_seed(0)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14)
    model = Dinov2Model(config).eval()
    model.save_pretrained(tmp_path / "model")
    network = features["dinov2"].load(weights=tmp_path / "model")
    pictures = Key(0, "x").uniform(range(2), (3, 224, 224)).float() * 2 - 1
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = ((pictures + 1) / 2 - mean[:, None, None]) / deviation[:, None, None]
    with torch.no_grad():
        expected = model(pixel_values=normal).last_hidden_state[:, 0]
    np.testing.assert_allclose(network.features(pictures), expected.numpy(), atol=1e-5)
    grey = pictures[:, :1, :30, :20]
    np.testing.assert_allclose(network.features(grey), network.features(grey.repeat(1, 3, 1, 1)), atol=1e-6)


REFUSED: list[tuple[Callable[[Path], object], type[Exception], str]] = [
    (lambda _: features["inception"].load(), ConfigError, "--weights FILE.safetensors"),
    (lambda _: features["dinov2"].load(), ConfigError, "--weights FOLDER"),
    (lambda path: features["fixed"].load(weights=path), ConfigError, "take none"),
    (lambda path: features["inception"].load(weights=path / "x.pth"), ModelError, "never loaded. Convert it once:\npython"),
    (lambda path: features["inception"].load(weights=path / "no.safetensors"), ModelError, "cannot be read"),
    (lambda path: features["inception"].load(weights=path / "other.safetensors"), ModelError, "another network: Missing"),
    (lambda path: features["inception"].load(weights=path / "cut.safetensors"), ModelError, "not a readable safetensors"),
    (lambda path: features["dinov2"].load(weights=path), ModelError, "no DINOv2 in the layout of transformers"),
    (lambda _: features["classifier"].load(), DataError, "no two classes: take --features fixed"),
    (lambda _: InceptionFeatures().features(torch.zeros(1, 2, 9, 9)), DataError, "2 channels have no colours"),
    (lambda _: FixedFeatures().features(torch.zeros(1, 2, 9)), UnsupportedError, "are no pictures"),
    (lambda _: FixedFeatures().features(torch.full((1, 1, 9, 9), torch.nan)), DataError, "hold NaN"),
    (lambda _: FixedFeatures().classes(torch.zeros(1, 1, 9, 9)), UnsupportedError, "tells no classes apart"),
]


@pytest.mark.parametrize(("ask", "error", "words"), REFUSED)
def test_what_does_not_fit_is_refused(
    ask: Callable[[Path], object], error: type[Exception], words: str, tmp_path: Path
) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(json.dumps({"x": 1}).encode())
    with pytest.raises(error, match=words):
        ask(tmp_path)
