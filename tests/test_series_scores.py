"""Scores of series and forecasts: against closed forms, independent implementations, and cases whose answer is known."""

import numpy as np
import pytest
import torch
from scipy import stats

from pellucid.core.errors import DataError
from pellucid.core.random import Key
from pellucid.evaluation.temporal import TemporalFeatures
from pellucid.metrics.crps import crps
from pellucid.metrics.diebold_mariano import diebold_mariano
from pellucid.metrics.discriminative import Discriminative
from pellucid.metrics.predictive import Predictive


def walks(count: int, purpose: str, step: float = 1.0, channels: int = 2, length: int = 12) -> torch.Tensor:
    return step * Key(0, purpose).normal([0], (count, channels, length))[0].cumsum(2)


def test_crps_of_a_normal_forecast() -> None:
    """σ (z (2 Φ(z) - 1) + 2 φ(z) - 1/√π), Gneiting and Raftery 2007, p. 367."""
    draws = Key(0, "draws").normal([0], (200_000,))[0].numpy()
    for place in (-1.5, 0.0, 0.7):
        expected = place * (2 * stats.norm.cdf(place) - 1) + 2 * stats.norm.pdf(place) - 1 / np.sqrt(np.pi)
        assert crps(2 * draws + 1, np.asarray(2 * place + 1)) == pytest.approx(2 * expected, abs=0.01)


@pytest.mark.parametrize("fair", [False, True])
def test_crps_equals_a_reference(fair: bool) -> None:
    scoring = pytest.importorskip("scoringrules")
    draws, truth = np.random.default_rng(0).normal(size=(25, 4, 6)), np.random.default_rng(1).normal(size=(4, 6))
    expected = scoring.crps_ensemble(truth, np.moveaxis(draws, 0, -1), estimator="fair" if fair else "nrg")
    np.testing.assert_allclose(crps(draws, truth, fair=fair), expected, rtol=1e-10)


def test_fair_crps_does_not_depend_on_the_number_of_draws() -> None:
    draws, truth = np.random.default_rng(0).normal(size=(12, 3000)), np.random.default_rng(1).normal(size=3000)
    few, many = crps(draws[:3], truth).mean(), crps(draws, truth).mean()
    assert few == pytest.approx(many, abs=0.02)
    assert crps(draws[:3], truth, fair=False).mean() > many + 0.1
    with pytest.raises(DataError, match="n from 2"):
        crps(draws[:1], truth)


def test_diebold_mariano() -> None:
    """One step ahead it is the paired t test; overlap widens it; equal scores say nothing."""
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=60), rng.normal(size=60) + 0.4
    found = diebold_mariano(first, second)
    assert found.statistic == pytest.approx(stats.ttest_rel(first, second).statistic)
    slow = np.repeat(rng.normal(size=20), 5)
    assert abs(diebold_mariano(slow, np.zeros(100), ahead=5).statistic) < abs(diebold_mariano(slow, np.zeros(100)).statistic)
    assert diebold_mariano(first, first).statistic == 0
    with pytest.raises(DataError, match="T from 12"):
        diebold_mariano(first[:10], second[:10], ahead=6)


def test_the_classifier_tells_what_differs_and_not_what_is_alike() -> None:
    real, alike, other = walks(400, "a"), walks(400, "b"), walks(400, "c") + 6
    score = Discriminative(seeds=2, iterations=120, rate=0.01)
    assert score(real, alike).value < 0.12
    found = score(real, other)
    assert found.value > 0.25
    assert found.floor is not None
    assert found.floor < 0.15
    assert found == score(real, other)  # trained by key alone


def test_the_forecaster_learns_from_what_is_like_the_data() -> None:
    """The second column follows the first one; where it does not, nothing is learned of it."""
    real, alike = (walks(300, purpose, channels=1).repeat(1, 2, 1) for purpose in "ab")
    noise = torch.cat([alike[:, :1], walks(300, "c", channels=1)], dim=1)
    score = Predictive(seeds=1, iterations=120, rate=0.02)
    good, bad = score(real, alike), score(real, noise)
    assert good.floor is not None
    assert good.value < 1.3 * good.floor
    assert bad.value > 1.2 * good.value
    with pytest.raises(DataError, match="20 or more of each"):
        score(real[:5], alike)


def test_temporal_features_see_levels_pace_and_dependence() -> None:
    """Each kind of feature moves when what it names does, by far more than by chance."""
    network, real = TemporalFeatures.load(), walks(300, "a")
    base, again = network.features(real).mean(0), network.features(walks(300, "b")).mean(0)
    chance = network.features(real).std(0) / np.sqrt(300)
    assert (np.abs(base - again) < 6 * chance + 1e-9).all()
    for changed in (real + 5, 2 * real, real.flip(2) * torch.linspace(0, 1, 12), torch.stack([real[:, 0], real[:, 0]], 1)):
        assert (np.abs(network.features(changed).mean(0) - base) > 6 * chance).any()
    with pytest.raises(DataError, match="missing or no numbers"):
        network.features(torch.full((2, 1, 8), torch.nan))
