"""Denoisers: the exact ones against brute force, and the trained one's handling of batches, times and conditions."""

import functools
import itertools
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from draws import FastDraws
from pellucid.conditioners.label import Label
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key, Keyed
from pellucid.denoisers import denoisers
from pellucid.denoisers.dataset import Dataset
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import choose
from pellucid.denoisers.regression import Regression
from pellucid.networks import networks
from pellucid.processes.additive import AdditiveChain
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.schedules.edm import EDM
from pellucid.schedules.linear import Linear
from pellucid.schedules.rectified import Rectified
from pellucid.schedules.schedule import Schedule

EXACT = [name for name in denoisers if hasattr(denoisers[name], "example") and "mean" in denoisers[name].offers]
every_exact = pytest.mark.parametrize("name", EXACT)
every_network = pytest.mark.parametrize("name", list(networks))
every_schedule = pytest.mark.parametrize("schedule", [pytest.param(schedules[key].example(), id=key) for key in schedules])


def number(value: float) -> Tensor:
    return torch.tensor(value, dtype=torch.float64)


def exact(name: str, schedule: Schedule) -> Any:
    """The registered example under another schedule."""
    denoiser = denoisers[name].example()
    denoiser.process = Gaussian(schedule=schedule)
    return denoiser


def oblique(schedule: Schedule) -> Mixture:
    """Three components in four dimensions, their axes at any angle."""
    root, means = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    covariances = 0.1 * root @ root.mT + 0.02 * torch.eye(4, dtype=torch.float64)
    weights = torch.tensor([0.2, 0.5, 0.3], dtype=torch.float64)
    return Mixture(Gaussian(schedule=schedule), weights=weights, means=means[:, 0], covariances=covariances)


def noisy(denoiser: Any, t: Tensor, n: int, seed: int = 0) -> Tensor:
    """x_t of data in the plane like that of the examples."""
    draws = FastDraws(n, seed)
    x0 = Mixture.example().draw(draws)
    found: Tensor = denoiser.process.corrupt(x0, t, draws.normal("eps", 0, (2,)))
    return found


def density(x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """p(x) of `Mixture.example`, by scipy."""
    m = Mixture.example()
    parts = zip(m.weights, m.means, m.covariances, strict=True)
    return np.asarray(sum(float(w) * stats.multivariate_normal(mean.numpy(), cov.numpy()).pdf(x) for w, mean, cov in parts))


@functools.cache
def raster() -> tuple[Tensor, Tensor]:
    """Points of a fine lattice over all the data of `Mixture.example`, and the probability of the cell around each."""
    axis = np.linspace(-3.5, 3.5, 401)
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    weight = density(points)
    assert weight.sum() * (axis[1] - axis[0]) ** 2 == pytest.approx(1, abs=1e-5)
    return torch.from_numpy(points), torch.from_numpy(weight / weight.sum())


# --- the exact mixture


@every_schedule
def test_mixture_equals_brute_force(schedule: Schedule) -> None:
    """Posterior means and log p(x_t) are those of p(x0) q(x_t | x0), multiplied and summed over a fine lattice of x0."""
    model = exact("mixture", schedule)
    points, weight = raster()
    for ratio in (0.15, 0.6, 3.0):
        t = schedule.time_at_ratio(number(ratio))
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        x_t = noisy(model, t, 3, seed=int(10 * ratio))
        log_joint = weight.log() - ((x_t[:, None] - alpha * points) ** 2).sum(-1) / (2 * sigma**2)
        torch.testing.assert_close(model(x_t, t).mean, log_joint.softmax(1) @ points, rtol=1e-5, atol=1e-5)
        brute = log_joint.logsumexp(1) - (2 * torch.pi * sigma**2).log()
        torch.testing.assert_close(model.log_prob(x_t, t), brute, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("time", [0.0, 0.3, 0.9])
def test_density_equals_scipy(time: float) -> None:
    """log p(x_t) is that of the mixture with means alpha m and covariances alpha² S + sigma²; at t = 0 the data's own."""
    model = oblique(Linear())
    x = model.draw(FastDraws(200), number(time))
    alpha, sigma = (float(curve(number(time))) for curve in (model.process.schedule.alpha, model.process.schedule.sigma))
    noise = sigma**2 * np.eye(4)
    expected = sum(
        float(w) * stats.multivariate_normal((alpha * m).numpy(), (alpha**2 * c).numpy() + noise).pdf(x.numpy())
        for w, m, c in zip(model.weights, model.means, model.covariances, strict=True)
    )
    np.testing.assert_allclose(model.log_prob(x, number(time)), np.log(np.asarray(expected)), rtol=1e-9, atol=1e-9)


@every_schedule
def test_tweedie(schedule: Schedule) -> None:
    """alpha E[x0 | x_t] = x_t + sigma² ∇ log p(x_t), and alpha Cov[x0 | x_t] = sigma² ∂E/∂x_t: both by autograd."""
    model, n = oblique(schedule), 20_000
    t = schedule.time_at_ratio(torch.tensor([0.1, 0.4, 1.0, 5.0], dtype=torch.float64))
    alpha, sigma = schedule.alpha(t)[:, None], schedule.sigma(t)[:, None]
    x0 = model.draw(FastDraws(4))
    x = model.process.corrupt(x0, t, FastDraws(4, 1).normal("eps", 0, (4,))).requires_grad_()
    (score,) = torch.autograd.grad(model.log_prob(x, t).sum(), x)
    mean = model(x, t).mean
    torch.testing.assert_close(alpha * mean, x.detach() + sigma**2 * score, rtol=1e-9, atol=1e-9)
    slope = torch.stack([torch.autograd.grad(mean[:, i].sum(), x, retain_graph=True)[0] for i in range(4)], 1)
    mean = mean.detach()
    for i in range(4):
        crowd = model(x[i].detach().expand(n, 4), t[i]).sample(FastDraws(n), 0)
        covariance = float(sigma[i] ** 2 / alpha[i]) * slope[i]
        assert float((crowd.mean(0) - mean[i]).abs().max()) < 4 * float(covariance.trace() / n) ** 0.5
        assert float((crowd.T.cov() - covariance).norm() / covariance.norm()) < 0.05


@every_schedule
def test_moments_and_draws_agree(schedule: Schedule) -> None:
    """`moments` are those of many exact draws of x_t, at both ends and between."""
    model, n = oblique(schedule), 40_000
    for time in (0.0, 0.3, 1.0):
        mean, covariance = model.moments(number(time))
        x = model.draw(FastDraws(n, int(100 * time)), number(time))
        assert float(((x.mean(0) - mean) / covariance.diagonal().sqrt()).abs().max()) < 4 / n**0.5
        assert float((x.T.cov() - covariance).norm() / covariance.norm()) < 0.04


def test_mixture_draws_have_the_density() -> None:
    """Each coordinate of a draw passes a test against the mixture of its marginals."""
    model = Mixture.example()
    x = model.draw(FastDraws(20_000))
    for axis in (0, 1):
        parts = [(float(w), float(m[axis]), float(c[axis, axis]) ** 0.5)
                 for w, m, c in zip(model.weights, model.means, model.covariances, strict=True)]
        cdf = lambda v, parts=parts: sum(w * stats.norm.cdf(v, m, s) for w, m, s in parts)  # noqa: E731
        assert stats.kstest(x[:, axis].numpy(), cdf).pvalue > 1e-3


# --- the data set


@every_schedule
def test_dataset_is_the_mixture_of_its_points(schedule: Schedule) -> None:
    """It equals the mixture whose components are equal points of no width, at every level, and in any shape of data."""
    points = torch.randn(7, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    process = Gaussian(schedule=schedule)
    seventh, flat = torch.full((7,), 1 / 7, dtype=torch.float64), torch.zeros(7, 4, 4, dtype=torch.float64)
    mixture = Mixture(process, weights=seventh, means=points, covariances=flat)
    dataset = Dataset(process, points=points.reshape(7, 1, 2, 2))
    t = torch.linspace(0.05, 1, 20, dtype=torch.float64)
    x_t = process.corrupt(points.repeat(3, 1)[:20], t, FastDraws(20).normal("eps", 0, (4,)))
    found = dataset(x_t.reshape(20, 1, 2, 2), t).mean
    assert found.shape == (20, 1, 2, 2)
    torch.testing.assert_close(found.flatten(1), mixture(x_t, t).mean, rtol=1e-9, atol=1e-9)


def test_dataset_in_float32_is_weighed_in_float64() -> None:
    """Points of float32, nearer to each other than the smallest noise and far from zero, are told apart as exactly."""
    generator = torch.Generator().manual_seed(0)
    points = 3 + 1e-4 * torch.randn(5, 784, generator=generator)
    x_t, sigma = points[:1] + 1e-3 * torch.randn(1, 784, generator=generator), 0.001
    distance = ((x_t.double() - points.double()) ** 2).sum(1) / (2 * sigma**2)
    found = Dataset(Gaussian(schedule=EDM(sigma_max=1.0)), points=points)(x_t, number(sigma))
    torch.testing.assert_close(found.weights.double(), (-distance).softmax(0)[None], rtol=1e-3, atol=1e-6)
    assert float((-distance).softmax(0).max()) < 0.999
    assert found.mean.dtype == torch.float32


def test_dataset_samples_are_its_points_as_often_as_they_weigh() -> None:
    """Draws are points of the set, with the frequencies of Bayes' rule."""
    dataset, n = Dataset.example(), 40_000
    x_t, t = torch.tensor([[0.4, 0.6]], dtype=torch.float64), number(0.01)
    sigma = 80 * t
    likelihood = torch.exp(-((x_t - dataset.points) ** 2).sum(1) / (2 * sigma**2))
    chance = likelihood / likelihood.sum()
    crowd = dataset(x_t.expand(n, 2), t).sample(FastDraws(n), 0)
    hits = (crowd[:, None] == dataset.points).all(-1)
    assert bool((hits.sum(1) == 1).all())
    observed, expected = hits.sum(0).numpy(), (n * chance).numpy()
    assert stats.chisquare(observed, expected).pvalue > 1e-3
    torch.testing.assert_close(dataset(x_t, t).mean[0], chance @ dataset.points)


def test_choice_takes_each_share_of_the_unit_interval() -> None:
    """Over evenly spread numbers every index is drawn as often as its probability says, and one of none never."""
    probabilities = torch.tensor([[0.1, 0.0, 0.6, 0.3]], dtype=torch.float64)
    u = (torch.arange(1000, dtype=torch.float64) + 0.5) / 1000
    assert torch.bincount(choose(u, probabilities), minlength=4).tolist() == [100, 0, 600, 300]
    rows = torch.eye(3, dtype=torch.float64)
    assert choose(torch.tensor([1e-9, 0.5, 1 - 1e-9], dtype=torch.float64), rows).tolist() == [0, 1, 2]


# --- what every exact denoiser keeps


@every_exact
def test_a_sampled_posterior_has_its_own_mean(name: str) -> None:
    """Samples average to the mean; what is not offered is refused by name; draws belong to the sample, not the batch."""
    denoiser, n = exact(name, Linear()), 20_000
    x_t, t = noisy(denoiser, number(0.4), 1), number(0.4)
    posterior = denoiser(x_t.expand(n, 2), t)
    assert denoiser.offers == {"mean", "sample"}
    crowd = posterior.sample(FastDraws(n), 0)
    assert float(((crowd.mean(0) - posterior.mean[0]) / crowd.std(0)).abs().max()) < 4 / n**0.5
    with pytest.raises(UnsupportedError, match="has no logits"):
        _ = posterior.logits
    few = denoiser(x_t.expand(3, 2), t).sample(Keyed(0, [5, 6, 7]), 2)
    torch.testing.assert_close(denoiser(x_t, t).sample(Keyed(0, [6]), 2), few[1:2])
    assert not torch.equal(few, denoiser(x_t.expand(3, 2), t).sample(Keyed(0, [5, 6, 7]), 3))


@every_exact
def test_pure_noise_says_nothing(name: str) -> None:
    """At t = 1 with no signal left the posterior is the data itself: its mean is that of all data, whatever is seen."""
    denoiser = exact(name, Rectified())
    mean = denoiser(torch.tensor([[5.0, -3.0], [0.0, 0.1]], dtype=torch.float64), number(1)).mean
    torch.testing.assert_close(mean[0], mean[1], rtol=1e-12, atol=1e-12)
    all_data = denoiser(torch.zeros(40_000, 2, dtype=torch.float64), number(1)).sample(FastDraws(40_000), 0)
    assert float(((all_data.mean(0) - mean[0]) / all_data.std(0)).abs().max()) < 4 / 200


@every_exact
@pytest.mark.parametrize("shape", [(), (1,), (5,), (5, 1), (1, 1)], ids=str)
def test_times_of_any_shape(name: str, shape: tuple[int, ...]) -> None:
    """A time for all or one for each sample, as a scalar, (B,) or broadcastable: the same as each sample alone."""
    denoiser = exact(name, Linear())
    t = 0.2 + 0.6 * torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    full = t.reshape(-1).expand(5)
    x_t = noisy(denoiser, full, 5)
    found = denoiser(x_t, t).mean
    assert found.shape == (5, 2)
    for i in range(5):
        torch.testing.assert_close(found[i : i + 1], denoiser(x_t[i : i + 1], full[i]).mean, rtol=1e-9, atol=1e-9)
    assert torch.equal(denoiser(x_t, 0.3).mean, denoiser(x_t, number(0.3)).mean)


@every_exact
def test_a_time_for_each_token_is_used_or_refused(name: str) -> None:
    """Different noise on the coordinates of one sample has another posterior: and (1, D) times are no batch."""
    denoiser = exact(name, Linear())
    t = torch.tensor([[0.2, 0.6]], dtype=torch.float64)
    try:
        assert denoiser(torch.zeros(1, 2, dtype=torch.float64), t).mean.shape == (1, 2)
    except UnsupportedError:
        return


@pytest.mark.parametrize("n", [2, 3])
def test_draws_of_many_times(n: int) -> None:
    """`draw` takes a time for each sample: those drawn at t = 0 are data, beside others of pure noise."""
    model = exact("mixture", EDM(sigma_max=1e4))
    x = model.draw(FastDraws(n), torch.tensor([0.0] + [1.0] * (n - 1), dtype=torch.float64))
    assert float(x[0].abs().max()) < 10
    assert float(x[1:].abs().min()) > 10


@every_exact
def test_other_noise_is_refused(name: str) -> None:
    """Closed forms need Gaussian noise; another kind is refused when the denoiser is made."""
    cls, zero = denoisers[name], torch.zeros(1, 2)
    arguments = {"points": zero, "weights": torch.ones(1), "means": zero, "covariances": torch.eye(2)[None]}
    wanted = {key: value for key, value in arguments.items() if key in cls.__init__.__annotations__}
    with pytest.raises(UnsupportedError, match="Gaussian noise only"):
        cls(AdditiveChain.example(), **wanted)


# --- the regression


def trained(name: str, **settings: Any) -> tuple[Regression, tuple[int, ...]]:
    """A denoiser of float64 whose network and labels answer at random rather than with zeros."""
    network, shape = networks[name].example()
    label = Label(names=["ape", "bee", "cat"], width=network.embedding_width)
    denoiser = Regression(process=Gaussian(schedule=Rectified()), network=network, conditioners={"label": label}, **settings)
    for key, parameter in denoiser.double().named_parameters():
        nn.init.normal_(parameter, 0, 0.3, generator=torch.Generator().manual_seed(sum(key.encode())))
    return denoiser.eval(), shape


@every_network
def test_prediction_of_a_sample_does_not_depend_on_its_batch(name: str) -> None:
    """In a batch of 16 with times and labels of their own, each sample's F and mean are those it has alone."""
    denoiser, shape = trained(name)
    x_t = Key(0, "x").normal(range(16), shape[1:])
    t, label = Key(0, "t").uniform(range(16)), torch.arange(16) % 4
    with torch.no_grad():
        answers, means = denoiser.predict(x_t, t, {"label": label}), denoiser(x_t, t, {"label": label}).mean
        for i in range(0, 16, 3):
            alone = x_t[i : i + 1], t[i : i + 1], {"label": label[i : i + 1]}
            torch.testing.assert_close(answers[i : i + 1], denoiser.predict(*alone), rtol=0, atol=1e-9)
            torch.testing.assert_close(means[i : i + 1], denoiser(*alone).mean, rtol=0, atol=1e-9)
    assert float((answers[0] - answers[1]).abs().max()) > 1e-3


@every_network
def test_one_time_for_all_is_the_same_as_one_for_each(name: str) -> None:
    """A scalar, (B,) and times with all axes agree."""
    denoiser, shape = trained(name)
    x_t, each = Key(0, "x").normal(range(3), shape[1:]), torch.full((3,), 0.3, dtype=torch.float64)
    with torch.no_grad():
        expected = denoiser(x_t, each).mean
        for t in (number(0.3), 0.3, each[:1], each.reshape(3, *[1] * (x_t.ndim - 1))):
            torch.testing.assert_close(denoiser(x_t, t).mean, expected, rtol=0, atol=1e-12)


@every_network
def test_labels_matter_and_their_absence_is_a_label(name: str) -> None:
    """Each label gives another answer; "nothing" is the same whether left out, null, -1 or the index after the last."""
    denoiser, shape = trained(name)
    x_t, t = Key(0, "x").normal([0], shape[1:]), number(0.5)
    ask = lambda index: denoiser.predict(x_t, t, {"label": torch.tensor([index])})  # noqa: E731
    with torch.no_grad():
        for one, other in itertools.combinations(range(4), 2):
            assert float((ask(one) - ask(other)).abs().max()) > 1e-3
        null = denoiser.null({"label": torch.tensor([1])})
        for nothing in (denoiser.predict(x_t, t), denoiser.predict(x_t, t, {}), denoiser.predict(x_t, t, null), ask(-1)):
            assert torch.equal(nothing, ask(3))


def test_conditions_that_are_not_there_are_refused_by_name() -> None:
    """A misspelt condition names the nearest; a model without any says so."""
    denoiser, shape = trained("mlp")
    x_t, t = torch.zeros(shape, dtype=torch.float64), number(0.5)
    wrong = {"labell": torch.zeros(len(x_t), dtype=torch.int64)}
    for call in (denoiser, denoiser.predict, lambda x, t, cond: denoiser.null(cond)):  # noqa: ARG005
        with pytest.raises(UnsupportedError, match="no condition 'labell': did you mean 'label'"):
            call(x_t, t, wrong)
    bare = Regression(process=Gaussian(schedule=Rectified()), network=networks["mlp"].example()[0])
    with pytest.raises(UnsupportedError, match="no condition 'label': it was trained without any"):
        bare(x_t.float(), t, {"label": torch.zeros(len(x_t), dtype=torch.int64)})


@pytest.mark.parametrize(("asked", "count", "indices"), [
    ("bee", 3, [1, 1, 1]), (2, 2, [2, 2]), ("2", 1, [2]), ("all", 7, [0, 1, 2, 0, 1, 2, 0]), (["cat", 0], 3, [2, 0, 2]),
    (range(2), 2, [0, 1]), (("bee",), 1, [1]),
], ids=str)
def test_labels_are_asked_for_by_name_or_index(asked: Any, count: int, indices: list[int]) -> None:
    """Names, indices and lists of them, repeated to the count; "all" is each in turn."""
    found = Label(names=["ape", "bee", "cat"], width=4).parse(asked, count)
    assert found.dtype == torch.int64
    assert found.tolist() == indices


@pytest.mark.parametrize(("asked", "message"), [
    ("bea", "Unknown label 'bea': did you mean 'bee'[?] Known: ape, bee, cat"),
    (3, "Unknown label '3': known: ape, bee, cat"), (-1, "Unknown label '-1'"), (["ape", "dog"], "Unknown label 'dog'"),
    (None, "Unknown label 'None'"), ("²", "Unknown label '²'"), ([], "empty list of labels"),
], ids=str)
def test_unknown_labels_are_refused_by_name(asked: Any, message: str) -> None:
    """What is not a label is named, with the nearest that is and all of them."""
    with pytest.raises(ConfigError, match=message):
        Label(names=["ape", "bee", "cat"], width=4).parse(asked, 2)


def test_a_name_that_is_a_number_is_a_name() -> None:
    """Digits used as names are found by name, before they are taken for indices."""
    assert Label(names=["2", "0", "1"], width=4).parse([0, 1, 2], 3).tolist() == [1, 2, 0]
