"""Figures that are measured again: each a function of a seed and of settings that gives one number.

`recheck.py` compares them with expected.toml; `robustness.py` reports how far seeds lie apart. Data is what comes with the
repository, so nothing is fetched, and a number needs no more than its line in expected.toml.
"""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from resume import ROOT
from torch import Tensor

from pellucid.core.random import Keyed
from pellucid.data.held_out import held_out
from pellucid.data.order import order
from pellucid.data.pack import Pack
from pellucid.data.write import write_pack
from pellucid.denoisers.mixture import Mixture
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.fashion import NAMES, FashionFeatures
from pellucid.evaluation.held_out import HeldOut
from pellucid.evaluation.likelihood import Prior, bits_per_dim, elbo, ode_log_likelihood
from pellucid.metrics.frechet import frechet_distance, moments
from pellucid.modalities.image import Image
from pellucid.model.assemble import assemble_sampler
from pellucid.model.model import Model
from pellucid.samplers.runge_kutta import RK4
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from pellucid.training.loop import run

FASHION, EMOJI = ROOT / "data" / "fashion-mnist", ROOT / "data" / "emoji"
HELD = 500
"""Samples that short runs are not trained on, and are measured by."""
REFERENCE = 512
"""Steps of the classical Runge-Kutta method that stand for the exact trajectory."""


def sampler_error(seed: int, *, sampler: str, steps: int, points: int = 1024) -> float:
    """Median distance to the end of the exact trajectory, of the exact denoiser of a mixture, from noise to data. (The mean
    is that of the few points which end in another component.)
    """
    model = Mixture.example()
    schedule = model.process.schedule
    start = model.draw(Keyed(seed, range(points)), 1.0)
    method, grid = assemble_sampler({"sampler": sampler}, schedule)
    exact = RK4().sample(model, start, grid(schedule, REFERENCE))
    return float((method.sample(model, start, grid(schedule, steps)) - exact).norm(dim=1).median())


def likelihood_error(seed: int, *, method: str, steps: int = 64, points: int = 256) -> float:
    """Bits per dimension of a mixture's points under its exact denoiser, less those of its density: a mean over points."""
    model, draws = Mixture.example(), Keyed(seed, range(points))
    x, prior = model.draw(draws), Prior(std=1.0)
    if method == "ode":
        found = ode_log_likelihood(model, x, steps=steps, prior=prior)
    else:
        found = elbo(model, x, draws, levels=steps, prior=prior)
    return float((bits_per_dim(found, 2) - bits_per_dim(model.log_prob(x), 2)).mean())


def features_accuracy(seed: int, *, n: int = 5000) -> float:
    """Share of so many test pictures of Fashion-MNIST that the pinned features recognise."""
    pictures, labels = _fashion()
    network, ids = FashionFeatures.load(), order(seed, 0, len(pictures), np.arange(n))
    return float((network.recognise(network.features(pictures[ids])) == labels[ids]).mean())


def features_floor(seed: int, *, n: int = 2000) -> float:
    """Fréchet distance between so many of the test pictures and as many others."""
    pictures, _ = _fashion()
    features = FashionFeatures.load().features(pictures[order(seed, 0, len(pictures), np.arange(2 * n))])
    return frechet_distance(*moments(features[:n], np.ones(n)), *moments(features[n:], np.ones(n)))


def shipped(seed: int, *, metric: str, n: int = 200, steps: int = 8) -> float:
    """A metric of the model that comes with the package, by the words of its own data."""
    return _shipped(seed, n, steps)[metric]


@cache
def _shipped(seed: int, n: int, steps: int) -> dict[str, float]:
    found = evaluate(Model.load("emoji"), EMOJI, n=n, n_real=2000, features="fixed", seed=seed, steps=steps)
    return {name: result.value for name, result in found.metrics.items()}


def recipe(seed: int, *, name: str, metric: str, samples: int, n: int = 300) -> float:
    """A recipe trained from the start on the 10,000 pictures: "held_out" is the loss of those held out, else a metric."""
    return _recipe(seed, name, samples, n)[metric]


@cache
def _recipe(seed: int, name: str, samples: int, n: int) -> dict[str, float]:
    own = load_recipe(name)
    length = own.training.model_copy(update={"minutes": None, "samples": None})
    with TemporaryDirectory() as folder:
        model, pack = trained(own.model_copy(update={"training": length}), samples, seed, Path(folder))
        found = evaluate(model, pack, n=n, seed=seed)
        values = {metric: result.value for metric, result in found.metrics.items()}
        if "mean" in model.denoiser.offers:
            ids = np.flatnonzero(held_out(len(pack), HELD, seed))
            values["held_out"] = float(HeldOut(pack=pack, seed=0)(model, ids).mean())
    return values


def trained(config: RunConfig, samples: int, seed: int, folder: Path) -> tuple[Model, Pack]:
    """A model of Fashion-MNIST and the data it was trained on, with HELD of it held out."""
    settings = [f"data.path={FASHION}", f"training.samples={samples}", f"training.held_out={HELD}", f"seed={seed}",
                "training.precision=float32"]  # fmt: skip
    model = run(apply_settings(config, settings), folder / "run")
    return model, Pack.open(folder / "run" / "data")


@cache
def _fashion() -> tuple[Tensor, NDArray[np.int64]]:
    """The 10,000 pictures and the numbers of their classes, as the pinned features have them."""
    image = Image()
    with TemporaryDirectory() as folder:
        pack = write_pack(image.read(FASHION), Path(folder) / "data")
        stored, labels = pack[np.arange(len(pack))]
    numbers = np.array([NAMES.index(name) for name in pack.label_names])
    return image.decode(stored), numbers[labels]


CHECKS: dict[str, Callable[..., float]] = {
    "sampler_error": sampler_error,
    "likelihood_error": likelihood_error,
    "features_accuracy": features_accuracy,
    "features_floor": features_floor,
    "shipped": shipped,
    "recipe": recipe,
}
"""By the names that expected.toml has for them."""
