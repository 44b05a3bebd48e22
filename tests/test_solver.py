"""Solvers that are learned: what they can express, that they come nearer to the teacher, and where they are used."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from exact import mixture
from pellucid.cli.app import _run
from pellucid.core.errors import ConfigError, UnsupportedError
from pellucid.core.random import Key
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.model.start import Start
from pellucid.samplers.ddim import DDIM
from pellucid.samplers.dpmpp import DPMSolver
from pellucid.samplers.grid import LogSNR, Uniform
from pellucid.samplers.ipndm import IPNDM
from pellucid.samplers.learned import Learned, as_rows
from pellucid.samplers.runge_kutta import Heun
from pellucid.samplers.sampler import Sampler
from pellucid.schedules.cosine import Cosine
from pellucid.training.solver import Pairs, Solver, learn_solver
from pellucid.training.solver import _begin as begin
from pellucid.training.solver import _learn as learn


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def noise(count: int) -> torch.Tensor:
    return Key(0, "noise").normal(range(count), (2,))


def model() -> Model:
    """A labelled model in which nothing is zero."""
    config = ModelConfig(network={"name": "mlp", "width": 16, "depth": 1})
    made = Model.create(config, Facts(shape=(1, 4, 4), labels=("a", "b")))
    with torch.no_grad():
        for number, parameter in enumerate(made.denoiser.parameters()):
            parameter.copy_(0.3 * Key(0, "weights").normal([number], parameter.shape)[0])
    return made


@pytest.mark.parametrize("sampler", [DDIM(), DPMSolver(order=2), DPMSolver(order=3), IPNDM(history=4)], ids=str)
def test_known_samplers_are_of_its_form(sampler: Sampler) -> None:
    """Run on symbols they give rows with which it makes the same samples."""
    denoiser, x = mixture(Cosine()), noise(5)
    for grid in (Uniform()(denoiser.process.schedule, 6), LogSNR()(denoiser.process.schedule, 4)):
        rows = as_rows(sampler, denoiser.process, grid)
        assert torch.equal(rows, rows.tril(1))
        learned = Learned(rows=[row[: step + 2].tolist() for step, row in enumerate(rows)])
        expected = sampler.sample(denoiser, x, grid)
        torch.testing.assert_close(learned.sample(denoiser, x, grid), expected, rtol=0, atol=1e-9)
        solver = Solver(rows, grid, movable=True)
        torch.testing.assert_close(solver.times(), grid[:-1], rtol=0, atol=1e-12)
        torch.testing.assert_close(solver(denoiser, x, None), expected, rtol=0, atol=1e-9)


def test_it_comes_nearer_to_the_teacher() -> None:
    """In four steps to less than half the distance of the best that is known, on noise that it has not seen."""
    denoiser, x = mixture(Cosine()).requires_grad_(False), noise(320)
    made = Heun().sample(denoiser, x, Uniform()(denoiser.process.schedule, 25))
    known = Pairs(x, {}, made)
    (_, solver), before = begin(denoiser, 4, known[256:])
    order = torch.Generator().manual_seed(0)
    shown = (known[torch.randint(256, (16,), generator=order)] for _ in range(150))
    after = learn(solver, denoiser, shown, 150, known[256:], lambda: None)
    assert after < before / 2
    assert solver.times()[0] == 1
    assert bool((solver.times().diff() < 0).all())
    assert not solver.all_rows().triu(2).any()


def test_it_is_used_where_it_was_learned_for(tmp_path: Path) -> None:
    """For as many steps, unless another sampler or grid is asked for, or sampling begins from data."""
    made, told = model(), list[tuple[int, int]]()
    found = learn_solver(made, 3, pairs=32, checks=16, lessons=25, progress=lambda *now: told.append(now))
    assert found.after <= found.before
    assert told[-1][0] == told[-1][1] == told[0][1]
    plain = made.sample(4, label="all", steps=3).data
    made.config.solvers["3"] = found.sections
    made.save(tmp_path / "fast.safetensors")
    fast = Model.load(tmp_path / "fast.safetensors")
    sampled = fast.sample(4, label="all", steps=3)
    assert sampled.nfe == 3
    assert not torch.equal(sampled.data, plain)
    assert torch.equal(sampled.data, made.sample(4, label="all", steps=3, **found.sections).data)
    for settings in ({"sampler": "ddim"}, {"grid": "karras"}, {"steps": 4}):
        asked: dict[str, Any] = {"label": "all", "steps": 3, **settings}
        assert torch.equal(fast.sample(4, **asked).data, model().sample(4, **asked).data)
    start = Start(x0=torch.zeros(4, 1, 4, 4), strength=0.7)
    assert torch.equal(fast.sample(4, steps=3, start=start).data, model().sample(4, steps=3, start=start).data)
    assert Model.load(tmp_path / "fast.safetensors").config.solvers["3"] == json.loads(json.dumps(found.sections))


def test_the_same_seed_gives_the_same_solver() -> None:
    found = [learn_solver(model(), 2, pairs=16, checks=16, lessons=5, seed=seed).sections for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


@pytest.mark.parametrize(("rows", "message"), [
    ([], "rows of"), ([[1.0]], "expected rows of 2, 3, 4"), ([[1, 2], [1, 2]], "2, 2"),
])  # fmt: skip
def test_rows_of_other_lengths_are_refused(rows: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Learned(rows=rows)


def test_another_number_of_steps_is_refused() -> None:
    learned = Learned.example()
    grid = Uniform()(Cosine(), 2)
    with pytest.raises(UnsupportedError, match="learned for 3 steps, not for 2"):
        learned.sample(mixture(Cosine()), noise(2), grid)
    with pytest.raises(ConfigError, match=r"steps = 17: expected 2 to 16"):
        learn_solver(model(), 17)


def test_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Weights stay as they are in the file, half precision too; what is said is what is in the file."""
    model().save(tmp_path / "half.safetensors", half=True)
    half, fast = (str(tmp_path / f"{name}.safetensors") for name in ("half", "fast"))
    assert _run(["speedup", half, "--steps", "2", "--lessons", "3", "--out", fast, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["after"] <= told["before"]
    before, after = (load_file(tmp_path / f"{name}.safetensors") for name in ("half", "fast"))
    assert all(value.dtype == after[name].dtype and torch.equal(value, after[name]) for name, value in before.items())
    assert list(Model.load(tmp_path / "fast.safetensors").config.solvers) == ["2"]
    for options, message in (
        (["--steps", "2", "--minutes", "1"], "--minutes has no effect with --method solver"),
        (["--steps", "1"], "expected 2 to 16"), (["--steps", "2", "--prompts", "none.txt"], "'none.txt' cannot be read"),
        (["--steps", "2", "--out", "x.pt"], "no such format as '.pt'"),
    ):  # fmt: skip
        assert _run(["speedup", half, "--out", str(tmp_path / "no.safetensors"), *options]) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "no.safetensors").exists()
