"""Metrics against independent computations and known truths; the pinned features of Fashion-MNIST against their figures."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.linalg import sqrtm
from scipy.stats import binomtest
from torch import Tensor

from pellucid.core.errors import ConfigError, DataError
from pellucid.evaluation import FashionFeatures
from pellucid.metrics import Frechet, Kernel, metrics
from pellucid.metrics.agreement import agreement, wilson
from pellucid.metrics.frechet import frechet_distance, moments
from pellucid.metrics.metric import Metric
from pellucid.metrics.motion import motion, shuffled

FASHION = Path(__file__).parents[1] / "data" / "fashion-mnist"
EVERY = [pytest.param(metrics[name].example(), id=name) for name in metrics]

Array = NDArray[np.float64]


def normal(n: int, width: int = 5, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, width))


def skewed(n: int, width: int = 5, seed: int = 0) -> Array:
    """Correlated features, one of them dead and one twice over: covariances of less than full rank."""
    x = np.exp(normal(n, width, seed)) @ normal(width, width, seed=99)
    x[:, 0], x[:, 1] = 0.5, x[:, 2]
    return x


@pytest.mark.parametrize("metric", EVERY)
def test_equal_sets_are_no_further_than_the_floor_and_a_shift_is(metric: Metric) -> None:
    real, same, shifted = normal(600), normal(200, seed=1), normal(200, seed=1) + 2
    near, far = metric(real, same), metric(real, shifted)
    assert near.floor is not None
    if metric.better == "less":
        assert near.value < 0.2 < far.low < far.value < far.high
        assert abs(near.floor) < 0.2
    else:
        assert near.value > 0.8 > far.high >= far.value >= far.low
        assert near.floor > 0.8
    assert near.n == 200


@pytest.mark.parametrize("metric", EVERY)
def test_figures_do_not_depend_on_order_and_are_repeatable(metric: Metric) -> None:
    real, generated = skewed(80), skewed(60, seed=1)
    assert metric(real, generated) == metric(real, generated)
    ones = np.ones((1, 60))
    np.testing.assert_allclose(metric.measure(real[::-1], generated[::-1], ones), metric.measure(real, generated, ones))


@pytest.mark.parametrize("metric", EVERY)
def test_counts_of_one_and_of_none(metric: Metric) -> None:
    real, generated = skewed(40), skewed(30, seed=1)
    plain = metric.measure(real, generated, np.ones((1, 30)))
    again = metric.measure(real, generated, np.stack([np.ones(30)] * 2))
    np.testing.assert_allclose(again, plain.repeat(2))
    if metric.reference(real, 20) is real:
        assert plain[0] == pytest.approx(metric(real, generated).value)


def test_counts_are_copies() -> None:
    """To the Fréchet distance a count of 2 is the sample written twice; to the kernel one, whose pairs of copies do not
    count, doubling every sample of a half is that half alone."""
    real, generated = skewed(40), skewed(30, seed=1)
    counts = np.repeat([2.0, 0.0], 15)[None]
    half = generated[:15]
    copied = Frechet(resamples=2)(real, np.concatenate([half, half])).value
    assert Frechet.example().measure(real, generated, counts)[0] == pytest.approx(copied)
    assert Kernel.example().measure(real, generated, counts)[0] == pytest.approx(Kernel(resamples=2)(real, half).value)


class Shared(Metric):
    """How many of the generated samples are among the real ones, and how many are not."""

    @classmethod
    def example(cls) -> Self:
        return cls()

    def measure(self, real: Array, generated: Array, counts: Array) -> Array:
        found = np.isin(generated[:, 0], real[:, 0])
        return np.tile(found.sum() - len(generated) / 1000 - len(real) * 1e-6, len(counts))


@pytest.mark.parametrize(("n", "held"), [(10, 10), (40, 25)])
def test_floor_measures_disjoint_parts(n: int, held: int) -> None:
    assert Shared().floor(normal(50), n) == pytest.approx(-held / 1000 - (50 - held) * 1e-6)


@pytest.mark.parametrize("metric", EVERY)
def test_floor_depends_on_the_seed_alone(metric: Metric) -> None:
    floors = {type(metric)(resamples=2, seed=seed).floor(skewed(1000), 400) for seed in (0, 0, 1, 2)}
    assert 2 <= len(floors) <= 3  # shares of 400 may be equal


@pytest.mark.parametrize("metric", EVERY)
def test_bad_features_are_refused(metric: Metric) -> None:
    broken = normal(10)
    broken[3, 1] = np.nan
    for real, generated, words in (
        (normal(10), normal(10, width=4), "5 wide.*4"),
        (normal(10), normal(3), "at least 4"),
        (normal(10).ravel(), normal(10), "real features have shape"),
        (normal(10), broken, "NaN or infinity in 1 samples"),
    ):
        with pytest.raises(DataError, match=words):
            metric(real, generated)
    with pytest.raises(ConfigError, match="level"):
        type(metric)(level=1.5)


@pytest.mark.parametrize("draw", [normal, skewed])
def test_frechet_equals_scipy_sqrtm(draw: Callable[..., Array]) -> None:
    real, generated = draw(300), 0.7 * draw(200, seed=1) + 0.3
    covariances = np.cov(real.T), np.cov(generated.T)
    root = sqrtm(covariances[0] @ covariances[1] + 1e-12 * np.eye(5)).real
    shift = real.mean(0) - generated.mean(0)
    expected = shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert Frechet(resamples=2)(real, generated).value == pytest.approx(expected, rel=1e-5)


def test_frechet_between_commuting_gaussians() -> None:
    """For diagonal covariances d² = |difference of means|² + |difference of standard deviations|²."""
    a, b = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 0.0])
    zero, shift = np.zeros(3), np.array([1.0, 0.0, 2.0])
    distance = frechet_distance(zero, np.diag(a**2), shift, np.diag(b**2))
    assert distance == pytest.approx(5 + ((a - b) ** 2).sum(), rel=1e-12)


def test_frechet_of_a_set_with_itself_is_zero_even_far_from_the_origin() -> None:
    x = skewed(300) + 1e4
    assert Frechet(resamples=2)(x, x).value == pytest.approx(0, abs=1e-4)
    np.testing.assert_allclose(moments(x, np.ones(300))[1], np.cov(x.T), atol=1e-6)


def test_interval_covers_the_expected_figure() -> None:
    """95% intervals from 150 independent generated sets: 0.89 lies 3.4 standard deviations below 0.95."""
    real = normal(2000, width=3, seed=5)
    metric = Frechet(resamples=40)
    results = [metric(real, 1.5 * normal(150, width=3, seed=seed) + 0.5) for seed in range(1000, 1150)]
    expected = np.mean([result.value for result in results])
    covered = np.mean([result.low <= expected <= result.high for result in results])
    assert 0.89 < covered < 1


def brute_force_mmd(real: Array, generated: Array) -> float:
    def kernel(x: Array, y: Array) -> float:
        return float((np.dot(x, y) / len(x) + 1) ** 3)

    def among(samples: Array) -> float:
        return float(np.mean([kernel(x, y) for i, x in enumerate(samples) for j, y in enumerate(samples) if i != j]))

    across = np.mean([kernel(x, y) for x in real for y in generated])
    return float(among(real) + among(generated) - 2 * across)


def test_kernel_equals_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.metrics.kernel.NUMBERS", 300)  # several blocks, the last one short
    real, generated = skewed(23), skewed(17, seed=1)
    assert Kernel(resamples=2)(real, generated).value == pytest.approx(brute_force_mmd(real, generated), rel=1e-10)


def test_kernel_is_unbiased_and_so_are_its_resamples() -> None:
    sets = [(normal(20, seed=seed), normal(10, seed=seed + 1000)) for seed in range(400)]
    metric = Kernel(resamples=5)
    figures = np.array([metric.measure(real, generated, metric._counts(10)) for real, generated in sets])
    error = figures.std(0) / 20
    assert (np.abs(figures.mean(0)) < 4 * error).all()
    assert figures[:, 0].min() < 0


@pytest.mark.parametrize(("k", "n"), [(0, 12), (12, 12), (3, 7), (908, 1000)])
def test_wilson_equals_scipy(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(0.95, method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_agreement_counts_equal_labels() -> None:
    result = agreement(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]), floor=0.9)
    assert (result.value, result.floor, result.n) == (0.75, 0.9, 4)
    assert result.low < 0.75 < result.high
    with pytest.raises(DataError, match="expected"):
        agreement(np.array([0, 1]), np.array([0]))
    with pytest.raises(DataError, match="expected"):
        agreement(np.array([]), np.array([]))


def idx(name: str, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(gzip.decompress((FASHION / name).read_bytes()), np.uint8, offset=header)


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.from_numpy(idx("t10k-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28) / np.float32(127.5) - 1)


def test_pinned_features_classify_fashion_mnist(pictures: Tensor) -> None:
    network, labels = FashionFeatures.load(), idx("t10k-labels-idx1-ubyte.gz", 8)
    assert agreement(labels, network.classes(pictures)).value == pytest.approx(0.908, abs=0.001)


def test_pinned_features_are_float64_and_independent_of_the_batch(pictures: Tensor) -> None:
    network = FashionFeatures.load()
    together = network.features(pictures[:501])
    assert together.shape == (501, 128)
    assert together.dtype == np.float64
    np.testing.assert_allclose(together[-1:], network.features(pictures[500:501]), atol=1e-5)
    scores = network(pictures[:3]).detach().numpy()
    np.testing.assert_allclose(network.logits(network.features(pictures[:3])), scores, atol=1e-5)


def test_pictures_that_do_not_fit_are_refused() -> None:
    network = FashionFeatures.load()
    with pytest.raises(DataError, match=r"expected \(B, 1, 28, 28\)"):
        network.features(torch.zeros(2, 28, 28))
    with pytest.raises(DataError, match=r"\[-1, 1\]"):
        network.features(torch.full((1, 1, 28, 28), 1.1))


# --- motion of films


def test_motion_of_films() -> None:
    """A step of 3 in every value from frame to frame is 3; shuffled, four frames in a row lie 5/3 steps apart on average."""
    line = 3.0 * np.arange(4)[None, None, :, None, None] * np.ones((2000, 2, 1, 3, 3))
    np.testing.assert_allclose(motion(line), 3.0)
    mixed = shuffled(line)
    np.testing.assert_allclose(np.sort(mixed, axis=2), line)
    assert abs(float(motion(mixed).mean()) / 5 - 1) < 0.03
    np.testing.assert_array_equal(mixed[:5], shuffled(line[:5]))
