"""Precision, recall, density, coverage and closeness: against brute force, closed expectations and the papers' own cases."""

from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

from pellucid.core.errors import ConfigError, DataError
from pellucid.metrics import Coverage, Density, Precision, Recall
from pellucid.metrics.closeness import closeness
from pellucid.metrics.manifold import Manifold

Array = NDArray[np.float64]
METRICS = (Precision, Recall, Density, Coverage)


def normal(n: int, width: int = 4, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=(n, width))


def plain(metric: Manifold, real: Array, generated: Array) -> float:
    """The figure of these very sets."""
    return float(metric.measure(real, generated, np.ones((1, len(generated))))[0])


def brute_force(real: Array, generated: Array, k: int) -> dict[type[Manifold], float]:
    """From scikit-learn's neighbours, sample by sample."""

    def radii(x: Array) -> Array:
        found = NearestNeighbors(n_neighbors=k + 1, algorithm="kd_tree").fit(x).kneighbors(x)[0]
        return np.asarray(found[:, k])  # place 0 is the sample itself

    def near(x: Array, centre: Array, radius: float) -> set[int]:
        tree = NearestNeighbors(radius=radius, algorithm="kd_tree").fit(x)
        return set(tree.radius_neighbors(centre[None], return_distance=False)[0].tolist())

    in_real = [near(generated, r, radius) for r, radius in zip(real, radii(real), strict=True)]
    in_generated = [near(real, g, radius) for g, radius in zip(generated, radii(generated), strict=True)]
    return {
        Precision: len(set().union(*in_real)) / len(generated),
        Recall: len(set().union(*in_generated)) / len(real),
        Density: sum(map(len, in_real)) / (k * len(generated)),
        Coverage: sum(map(bool, in_real)) / len(real),
    }


@pytest.mark.parametrize("k", [1, 5])
def test_all_four_equal_brute_force(k: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.metrics.neighbours.NUMBERS", 300)  # several blocks, the last one short
    real, generated = normal(60) + 50, 1.2 * normal(45, seed=1) + 50.4
    expected = brute_force(real, generated, k)
    assert {metric: plain(metric(k=k), real, generated) for metric in METRICS} == pytest.approx(expected)


@pytest.mark.parametrize(("n", "m", "k"), [(40, 40, 3), (60, 30, 5), (30, 90, 1)])
def test_expectations_for_equal_distributions(n: int, m: int, k: int) -> None:
    """Naeem et al. 2020: density 1, coverage 1 - (N-1)...(N-k) / ((M+N-1)...(M+N-k)), for any distribution."""
    sets = [(np.exp(normal(n, 3, seed)), np.exp(normal(m, 3, seed + 5000))) for seed in range(400)]
    expected = {Density: 1.0, Coverage: 1 - np.prod([(n - i) / (m + n - i) for i in range(1, k + 1)])}
    for metric, value in expected.items():
        figures = np.array([plain(metric(k=k), real, generated) for real, generated in sets])
        assert figures.mean() == pytest.approx(value, abs=4 * figures.std() / 20)


def test_an_outlier_fools_precision_not_density() -> None:
    """Naeem et al. 2020: the ball of one real outlier takes in whatever lies between."""
    real, generated = normal(300, 2), 0.3 * normal(300, 2, seed=1) + 20
    outlier = np.concatenate([real, [[40.0, 40.0]]])
    assert plain(Precision(), real, generated) == 0
    assert plain(Precision(), outlier, generated) == 1
    assert plain(Density(), outlier, generated) == pytest.approx(1 / 5)  # one ball, over k


def test_lost_modes_cost_recall_and_coverage_alone() -> None:
    """Ten clusters of which four are generated."""
    middles = 30.0 * np.array(list(product(range(5), range(2))))
    real = np.concatenate([normal(60, 2, seed) + middle for seed, middle in enumerate(middles)])
    generated = np.concatenate([normal(60, 2, seed + 50) + middle for seed, middle in enumerate(middles[:4])])
    figures = {metric: plain(metric(), real, generated) for metric in METRICS}
    assert figures[Precision] > 0.9
    assert figures[Density] > 0.8
    assert 0.3 < figures[Coverage] <= 0.4
    assert 0.3 < figures[Recall] <= 0.4


@pytest.mark.parametrize("metric", METRICS)
def test_sets_of_equal_size_are_compared(metric: type[Manifold]) -> None:
    """n = min(M, N // 2); the figure and its floor have the same real samples beside them, and others are set aside."""
    one = metric(resamples=2)
    real, generated = normal(100), normal(80, seed=1)
    assert one(real, generated).n == 50
    assert one(real, generated[:30]).n == 30
    others, held = one.split(real, 30)
    assert len(others) == len(held) == len(np.unique([*others[:, 0], *held[:, 0]])) / 2 == 30
    assert one(real, generated[:30]).floor == plain(one, others, held)
    assert one(real, generated[:30]).value == plain(one, others, generated[:30])


@pytest.mark.parametrize("metric", METRICS)
def test_resamples_spread_as_independent_sets_do(metric: type[Manifold]) -> None:
    """Between 0.6 and 1.4 times, away from 0 and 1: the docstring's bounds, with room for the noise of 100 sets."""
    real, one = normal(200, 10, seed=3), metric(resamples=100)
    sets = [0.9 * normal(200, 10, seed=seed) + 0.4 for seed in range(10, 110)]
    true = np.std([plain(one, real, generated) for generated in sets], ddof=1)
    told = np.mean([one.measure(real, generated, one._counts(200))[1:].std(ddof=1) for generated in sets[:5]])
    assert 0.6 < told / true < 1.4


def test_too_few_neighbours_are_refused() -> None:
    with pytest.raises(DataError, match="k = 5 nearest neighbours need at least 6 samples, got 4"):
        Precision()(normal(8), normal(20))
    with pytest.raises(ConfigError, match="k = 0"):
        Recall(k=0)


def test_closeness_has_its_chance_level_and_sees_copies() -> None:
    scores = [np.random.default_rng(seed).beta(5, 2, 500) for seed in range(401)]
    results = [closeness(ours, theirs) for ours, theirs in zip(scores[1:], scores[:-1], strict=True)]
    values = np.array([result.value for result in results])
    assert values.mean() == pytest.approx(0.05, abs=4 * values.std() / 20)
    assert 0.88 < np.mean([result.low <= 0.05 <= result.high for result in results]) < 0.99
    assert all(result.floor == 0.05 for result in results)
    copied = closeness(np.concatenate([np.zeros(250), scores[0][:250]]), scores[1])
    assert copied.low > 0.45
    with pytest.raises(DataError, match="finite"):
        closeness(np.array([np.nan]), scores[0])


def test_closeness_of_data_full_of_duplicates_counts_the_ties() -> None:
    """Half of the real samples have a twin: then half of new ones may be copies by chance, and the floor says so."""
    real = np.repeat([0.0, 0.7], 50)
    assert closeness(real, real).floor == closeness(real, real).value == 0.5
