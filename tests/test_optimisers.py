"""From gradients to weights: optimisers against their papers, written out again in NumPy; batches in parts; averages."""

from collections.abc import Callable, Iterator
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pellucid.core.config import build
from pellucid.core.errors import ConfigError
from pellucid.core.random import Key
from pellucid.model.model import Model
from pellucid.training import optimisers
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.ema import PowerEMA, exponent
from pellucid.training.loop import run
from pellucid.training.optimiser import orthogonalise
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

Array = NDArray[np.float64]
SHAPES = ((3, 5), (6, 2, 3, 3), (1, 4), (7,), ())
STEPS = 10


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


def numbers(word: str, step: int, shape: tuple[int, ...]) -> Array:
    return Key(0, word, step).normal([0], shape)[0].numpy()


def gradients(step: int) -> Iterator[Array]:
    """Of very different sizes, one of them zero at times."""
    for index, shape in enumerate(SHAPES):
        size = 0.0 if (index, step) == (3, 4) else 10.0 ** (index - 3)
        yield size * numbers(f"gradient {index}", step, shape)


def trained(section: dict[str, Any]) -> list[Array]:
    """The parameters after ten steps of ours."""
    parameters = [nn.Parameter(torch.from_numpy(numbers("start", index, shape))) for index, shape in enumerate(SHAPES)]
    optimiser = build(optimisers, section, trained=nn.ParameterList(parameters))
    for step in range(1, STEPS + 1):
        for parameter, gradient in zip(parameters, gradients(step), strict=True):
            parameter.grad = torch.from_numpy(np.asarray(gradient))
        optimiser.step()
    return [parameter.detach().numpy() for parameter in parameters]


def by_the_paper(rule: Callable[[Array, dict[str, Any], Array, int], Array]) -> list[Array]:
    """The same with `rule(parameter, memory, gradient, step)`, which returns the new parameter."""
    parameters = [numbers("start", index, shape) for index, shape in enumerate(SHAPES)]
    memories: list[dict[str, Any]] = [{} for _ in SHAPES]
    for step in range(1, STEPS + 1):
        everything = zip(parameters, memories, gradients(step), strict=True)
        parameters = [rule(parameter, memory, gradient, step) for parameter, memory, gradient in everything]
    return parameters


def assert_same(found: list[Array], expected: list[Array]) -> None:
    for index, (ours, theirs) in enumerate(zip(found, expected, strict=True)):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12, err_msg=f"parameter {index}")


def adam_direction(memory: dict[str, Any], g: Array, t: int, betas: tuple[float, float], eps: float) -> Array:
    """Kingma and Ba 2015, algorithm 1: bias-corrected first moment over the root of the second."""
    memory["m"] = betas[0] * memory.get("m", 0.0) + (1 - betas[0]) * g
    memory["v"] = betas[1] * memory.get("v", 0.0) + (1 - betas[1]) * g * g
    m_hat, v_hat = memory["m"] / (1 - betas[0] ** t), memory["v"] / (1 - betas[1] ** t)
    return np.asarray(m_hat / (np.sqrt(v_hat) + eps))


def svd_free_orthogonal(g: Array, iterations: int) -> Array:
    """Jordan et al. 2024, zeropower_via_newtonschulz5: X <- aX + (bA + cA^2) X with A = X X^T, X = G / |G|."""
    x = g / (np.sqrt((g * g).sum()) + 1e-12)
    if x.shape[0] > x.shape[1]:
        x = x.T
    for _ in range(iterations):
        gram = x @ x.T
        x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
    return x.T if g.shape[0] > g.shape[1] else x


# ----------------------------------------------------------------------------------------------- against the papers


def test_adam_is_algorithm_1() -> None:
    """Ten steps equal Kingma and Ba's, to 1e-12, for parameters of every rank."""
    found = trained({"name": "adam", "learning_rate": 0.02, "betas": (0.8, 0.95), "eps": 1e-6})
    assert_same(found, by_the_paper(lambda p, memory, g, t: p - 0.02 * adam_direction(memory, g, t, (0.8, 0.95), 1e-6)))


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_algorithm_2(decay: float) -> None:
    """Ten steps equal Loshchilov and Hutter's: the decay acts on the weight itself and not through the moments."""
    found = trained({"name": "adamw", "learning_rate": 0.02, "weight_decay": decay})

    def rule(p: Array, memory: dict[str, Any], g: Array, t: int) -> Array:
        return p - 0.02 * (adam_direction(memory, g, t, (0.9, 0.99), 1e-8) + decay * p)

    assert_same(found, by_the_paper(rule))


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_rmsprop_is_the_lectures(momentum: float) -> None:
    """Ten steps equal Hinton's: the gradient over the root of its running mean square, with momentum on the quotient."""
    found = trained({"name": "rmsprop", "learning_rate": 0.02, "alpha": 0.95, "momentum": momentum})

    def rule(p: Array, memory: dict[str, Any], g: Array, t: int) -> Array:  # noqa: ARG001
        memory["v"] = 0.95 * memory.get("v", 0.0) + 0.05 * g * g
        memory["u"] = momentum * memory.get("u", 0.0) + g / (np.sqrt(memory["v"]) + 1e-8)
        return np.asarray(p - 0.02 * memory["u"])

    assert_same(found, by_the_paper(rule))


@pytest.mark.parametrize("iterations", [5, 3])
def test_muon_is_jordans(iterations: int) -> None:
    """Ten steps equal Muon with Nesterov momentum on what has two axes or more, and AdamW on the rest."""
    section = {
        "name": "muon", "learning_rate": 0.02, "momentum": 0.9, "iterations": iterations, "betas": (0.8, 0.95),
        "weight_decay": 0.1,
    }  # fmt: skip

    def rule(p: Array, memory: dict[str, Any], g: Array, t: int) -> Array:
        if p.ndim < 2:
            return p - 0.02 * (adam_direction(memory, g, t, (0.8, 0.95), 1e-8) + 0.1 * p)
        memory["b"] = 0.9 * memory.get("b", 0.0) + 0.1 * g
        nesterov = (0.1 * g + 0.9 * memory["b"]).reshape(len(p), -1)
        update = 0.2 * np.sqrt(max(nesterov.shape)) * svd_free_orthogonal(nesterov, iterations)
        return p - 0.02 * (update.reshape(p.shape) + 0.1 * p)

    assert_same(trained(section), by_the_paper(rule))


# --------------------------------------------------------------------------------------------------------- parts


@pytest.mark.parametrize("shape", [(8, 8), (16, 5), (5, 16), (64, 64), (1, 9), (9, 1)])
@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_orthogonalised_matrices_keep_their_directions(shape: tuple[int, int], size: float) -> None:
    """G = U S V^T becomes U T V^T with T in [0.68, 1.21], which is the iteration's exact range for S above 0.002 |G|."""
    matrix = torch.from_numpy(size * numbers("matrix", 0, shape))
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    kept = u.T @ orthogonalise(matrix) @ vt.T
    values = kept.diagonal()
    assert float((kept - torch.diag(values)).abs().max()) < 1e-9
    healthy = values[s > 0.002 * s.norm()]
    assert len(healthy) >= 0.9 * len(s)
    assert 0.68 < float(healthy.min()) <= float(healthy.max()) < 1.21
    assert float(values.min()) > 0


def test_muons_update_has_the_size_of_adams() -> None:
    """The root mean square of a Muon update is 0.2 within its singular values' range, for any shape of matrix."""
    for index, shape in enumerate(((32, 32), (64, 16), (16, 64), (8, 4, 3, 3))):
        weight = nn.Parameter(torch.zeros(shape, dtype=torch.float64))
        weight.grad = torch.from_numpy(numbers("gradient", index, shape))
        build(optimisers, {"name": "muon", "learning_rate": 1.0}, trained=nn.ParameterList([weight])).step()
        assert 0.7 * 0.2 < float(weight.detach().square().mean().sqrt()) < 1.2 * 0.2


@pytest.mark.parametrize("table", [nn.Embedding(5, 3), nn.EmbeddingBag(5, 3)])
def test_muon_leaves_tables_to_adam(table: nn.Module) -> None:
    """A row that a step does not use stays where it is, and the others move by Adam's step."""
    table.weight.data.zero_()
    table.weight.grad = torch.zeros(5, 3)
    table.weight.grad[1:3] = torch.tensor([[1e-3, -2.0, 5.0], [-7.0, 1e4, 1.0]])
    build(optimisers, {"name": "muon", "learning_rate": 0.1}, trained=nn.Sequential(table)).step()
    torch.testing.assert_close(table.weight.detach(), -0.1 * table.weight.grad.sign())


def test_muon_survives_a_zero_gradient() -> None:
    """Gates are zero at the start, so gradients are: no NaN comes of it."""
    weight = nn.Parameter(torch.ones(4, 4))
    weight.grad = torch.zeros(4, 4)
    build(optimisers, {"name": "muon"}, trained=nn.ParameterList([weight])).step()
    assert torch.equal(weight.detach(), torch.ones(4, 4))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_orthogonalise_runs_in_the_parameters_dtype(dtype: torch.dtype) -> None:
    """No hidden change to a coarser type: float64 comes back with float64's accuracy."""
    matrix = torch.from_numpy(numbers("matrix", 1, (6, 9))).to(dtype)
    found = orthogonalise(matrix)
    assert found.dtype == dtype
    gap = np.abs(found.double().numpy() - svd_free_orthogonal(matrix.double().numpy(), 5)).max()
    assert gap < (1e-12 if dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("name", list(optimisers))
def test_parameters_without_a_gradient_stay(name: str) -> None:
    """What the loss does not reach is neither moved nor decayed."""
    still, moved = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2, 2))
    moved.grad = torch.ones(2, 2)
    build(optimisers, {"name": name}, trained=nn.ParameterList([still, moved])).step()
    assert torch.equal(still.detach(), torch.ones(2, 2))
    assert not torch.equal(moved.detach(), torch.ones(2, 2))


def test_unknown_names_and_settings_are_refused() -> None:
    """The message names the nearest name, the nearest setting and the allowed type."""
    weight = nn.ParameterList([torch.ones(2)])
    with pytest.raises(ConfigError, match=r"Unknown optimiser 'adamv'.*did you mean 'adamw?'\?.*muon, rmsprop"):
        build(optimisers, {"name": "adamv"}, trained=weight)
    with pytest.raises(ConfigError, match=r"Unknown setting 'lerning_rate' of optimiser\.adamw: .*'learning_rate'"):
        build(optimisers, {"name": "adamw", "lerning_rate": 1}, trained=weight)
    with pytest.raises(ConfigError, match=r"optimiser\.muon\.iterations.*got 'many'"):
        build(optimisers, {"name": "muon", "iterations": "many"}, trained=weight)


# ---------------------------------------------------------------------------------------------- in a run of training


class Watch:
    """An observer that keeps weights and gradients of every step."""

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        self.state: TrainingState = state
        self.norms: list[float] = []
        self.weights = [self.now()]

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        parameters = [p for p in state.loss.parameters() if p.grad is not None]
        self.norms.append(sqrt(sum(float((p.grad.double() ** 2).sum()) for p in parameters)))
        self.weights.append(self.now())

    def now(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.state.loss.denoiser.state_dict().items()}


def watched(pictures: Path, out: Path, *settings: str, network: str = "mlp") -> Watch:
    small = {"mlp": ("network.name=mlp", "network.width=16", "network.depth=2"), "unet": ("network.channels=[8,16]",)}
    watch = Watch()
    run(apply_settings(RunConfig(), [f"data.path={pictures}", *small[network], *settings]), out, observer=watch)
    return watch


def distance(one: Watch, other: Watch) -> float:
    """Largest difference of any weight, the loss's own parameters included."""
    theirs = other.state.loss.state_dict()
    return max(float((value - theirs[name]).abs().max()) for name, value in one.state.loss.state_dict().items())


@pytest.mark.parametrize(("name", "network"), [*((name, "mlp") for name in optimisers), ("muon", "unet")])
def test_a_batch_in_parts_trains_alike(name: str, network: str, pictures: Path, tmp_path: Path) -> None:
    """Fifty steps of 1 x 64 and of 4 x 16: all weights agree within 1e-9 in float64, 1e-3 in float32.

    What float32 comes to is measured by benchmarks/batch.py.
    """
    settings = ("training.samples=3200", "training.warmup=0", f"optimiser.name={name}", "loss.weighting.name=learned")
    for precision, bar in (("float64", 1e-9), ("float32", 1e-3))[: 2 if network == "mlp" else 1]:
        runs = [
            watched(pictures, tmp_path / f"{precision}{part}", *settings, f"training.precision={precision}",
                    f"training.micro_batch={part}", network=network)
            for part in (64, 16)
        ]  # fmt: skip
        assert runs[0].state.step == 50
        assert distance(*runs) < bar
        moved = max(float((runs[0].weights[-1][key] - value).abs().max()) for key, value in runs[0].weights[0].items())
        assert moved > 0.01


def test_clipping_bounds_the_gradient_and_the_update(pictures: Path, tmp_path: Path) -> None:
    """No gradient that the optimiser sees is longer than the limit, those that are shorter stay as they were.

    Adam divides by |g| + eps, so where the limit is far below eps no weight moves by more than rate x limit / eps a step.
    """
    settings = ("training.batch=16", "training.samples=320", "training.warmup=0", "training.decay=0", "optimiser.name=adam")
    free = watched(pictures, tmp_path / "free", *settings, "training.clip=1e9")
    middle = float(np.median(free.norms))
    held = watched(pictures, tmp_path / "held", *settings, f"training.clip={middle}")
    assert held.norms[0] == pytest.approx(min(free.norms[0], middle), rel=1e-4)
    assert max(held.norms) <= middle * (1 + 1e-5)
    assert min(held.norms) < 0.999 * middle
    tight = watched(pictures, tmp_path / "tight", *settings, "training.clip=1e-12", "training.precision=float64")
    for before, after in zip(tight.weights, tight.weights[1:], strict=False):
        assert max(float((after[name] - value).abs().max()) for name, value in before.items()) <= 1e-3 * 1e-12 / 1e-8 * 10


# ------------------------------------------------------------------------------------------------------- averages


@pytest.mark.parametrize("width", [0.02, 0.05, 0.1, 0.25])
def test_averages_weigh_by_a_power_of_the_step(width: float) -> None:
    """After 300 steps the average is the explicit weighted sum, step s weighing s^γ integrated over the step."""
    values = torch.from_numpy(numbers("weights", 0, (301, 4)))
    average, gamma = PowerEMA({"w": values[0]}, width), exponent(width)
    for step in range(1, 301):
        average.update({"w": values[step]}, step)
    steps = np.arange(1, 301)
    weights = (steps / 300) ** (gamma + 1) - ((steps - 1) / 300) ** (gamma + 1)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(average.average["w"], weights @ values[1:].numpy(), rtol=0, atol=1e-12)
    late = steps > 3 * (gamma + 1)
    np.testing.assert_allclose((weights / weights[-1])[late], (steps[late] / 300.0) ** gamma, rtol=0.25)
    spread = sqrt(np.sum(weights * steps**2) - np.sum(weights * steps) ** 2) / 300
    assert spread == pytest.approx(width, rel=0.01)


@pytest.mark.parametrize(("width", "gamma"), [(0.05, 16.97), (0.10, 6.94), (0.25, 0.72)])
def test_exponents_are_those_of_the_paper(width: float, gamma: float) -> None:
    """EDM2, section 3.1: σ_rel = (γ + 1)^(1/2) (γ + 2)^-1 (γ + 3)^(-1/2), and its two published pairs."""
    found = exponent(width)
    assert sqrt(found + 1) / (found + 2) / sqrt(found + 3) == pytest.approx(width, rel=1e-12)
    assert found == pytest.approx(gamma, abs=0.01)


@pytest.mark.parametrize("width", [0.0, -0.1, 0.28, 0.5])
def test_widths_out_of_range_are_refused(width: float) -> None:
    """No power has such a width."""
    with pytest.raises(ConfigError, match=r"training\.ema = .* is out of range"):
        exponent(width)


def test_the_saved_model_is_the_first_average(pictures: Path, tmp_path: Path) -> None:
    """Of the weights after each step, explicitly summed; the second average is another one; without any, the last."""
    settings = ("training.batch=16", "training.samples=320", "training.warmup=0", "training.precision=float64")
    for widths, index in (("[0.1,0.2]", 0), ("[]", None)):
        out = tmp_path / widths
        watch = watched(pictures, out, *settings, f"training.ema={widths}")
        saved = Model.load(out).tensors()
        steps, gamma = np.arange(1, 21), exponent(0.1)
        weights = np.diff(np.arange(21.0) ** (gamma + 1)) / 20 ** (gamma + 1) if index == 0 else (steps == 20) * 1.0
        for name in watch.weights[0]:
            expected = sum(weight * watch.weights[step][name] for step, weight in zip(steps, weights, strict=True))
            torch.testing.assert_close(saved[f"denoiser.{name}"].double(), expected, rtol=0, atol=1e-6)
        if watch.state.averages:
            one, other = (average.average["network.head.bias"] for average in watch.state.averages)
            assert float((one - other).abs().max()) > 1e-5
