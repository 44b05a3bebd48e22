"""What is held out of training, the losses that bound a model's, and the word for how a run stands."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from pellucid.core.errors import ConfigError
from pellucid.data.held_out import held_out, share_of
from pellucid.data.pack import Pack
from pellucid.denoisers.dataset import Dataset
from pellucid.denoisers.denoiser import Cond, Denoiser
from pellucid.denoisers.posterior import Mean, Posterior
from pellucid.evaluation.held_out import LEVELS, HeldOut, diffused
from pellucid.evaluation.limits import by_heart, linear_loss, linear_losses
from pellucid.evaluation.report import write_report
from pellucid.model.model import Model
from pellucid.processes.process import Process
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from pellucid.training.loop import assemble, run
from pellucid.training.outcome import outcome
from pellucid.training.prepare import prepare
from pellucid.training.standing import Point, word

SMALL = ("network.name=mlp", "network.width=16", "network.depth=1", "training.batch=16", "optimiser.name=adamw")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(data: Path, out: Path, *more: str) -> Model:
    return run(apply_settings(RunConfig(), [f"data.path={data}", "training.samples=64", *SMALL, *more]), out)


def events(folder: Path, kind: str) -> list[dict[str, object]]:
    lines = (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


# ------------------------------------------------------------------------------------------------ what is held out


@pytest.mark.parametrize(("count", "wanted"), [(40, 8), (1000, 50), (5000, 250), (10, 0)])
def test_held_out_are_runs_of_neighbours(count: int, wanted: int) -> None:
    held = held_out(count, wanted, seed=3)
    assert abs(int(held.sum()) - wanted) < 16
    assert (held == held_out(count, wanted, seed=3)).all()
    assert wanted == 0 or (held != held_out(count, wanted, seed=4)).any()
    edges = int(np.abs(np.diff(held.astype(int), prepend=0, append=0)).sum()) // 2
    assert edges <= max(8, wanted // 8)  # runs, not single samples


def test_a_share_has_its_bounds() -> None:
    assert [share_of(count, 0.05) for count in (10, 1000, 10**6)] == [8, 50, 256]


def test_no_batch_shows_what_is_held_out(pictures: Path, tmp_path: Path) -> None:
    config = apply_settings(RunConfig(), [f"data.path={pictures}", *SMALL, "training.samples=64", "training.held_out=16"])
    prepared = prepare(config, tmp_path / "data")
    _, _, batches = assemble(config, prepared)
    held, count = held_out(len(prepared.pack), 16, config.seed), len(prepared.pack)
    left = count - int(held.sum())
    seen = np.concatenate([batches(start, left).ids for start in range(0, 3 * left, left)]).reshape(3, left)
    for epoch in seen:
        assert sorted(epoch.tolist()) == np.flatnonzero(~held).tolist()
    assert not (seen[0] == seen[1]).all()


def test_nothing_is_left_to_train_on(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"training\.held_out = 1000 leaves nothing of \d+ samples"):
        trained(pictures, tmp_path / "run", "training.held_out=1000")


# ------------------------------------------------------------------------------------------------ the bounds


class Linear(Denoiser):
    """E[x0 | x_t] of a normal distribution, m + α C (α² C + σ²)⁻¹ (x_t - α m)."""

    def __init__(self, process: Process, mean: float, covariance: Tensor) -> None:
        super().__init__(process)
        self.mean, self.covariance = mean, covariance.double()

    def forward(self, x_t: Tensor, t: Tensor, cond: Cond | None = None) -> Posterior:  # noqa: ARG002
        alpha, sigma = self.process.schedule.alpha(t), self.process.schedule.sigma(t)
        inner = alpha**2 * self.covariance + sigma**2 * torch.eye(len(self.covariance))
        away = (x_t.double() - alpha * self.mean).flatten(1)
        return Mean(self.mean + (alpha * away @ torch.linalg.solve(inner, self.covariance)).reshape(x_t.shape))


def test_by_heart_is_the_exact_denoiser_of_the_data(pictures: Path, tmp_path: Path) -> None:
    """The loss that a model with the exact posterior mean has, computed by another class."""
    model = trained(pictures, tmp_path / "run", "data.condition=none")
    pack = Pack.open(tmp_path / "run" / "data")
    ids = pack.spread(12)
    found = by_heart(model, pack, ids, seed=3, seconds=60)
    points, _ = diffused(model, pack, np.arange(len(pack)))
    model.denoiser = Dataset(model.denoiser.process, points=points)
    expected = HeldOut(pack=pack, seed=3)(model, ids)
    assert found is not None
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_white_noise_leaves_nothing_to_a_linear_denoiser(tmp_path: Path) -> None:
    np.save(tmp_path / "white.npy", np.random.default_rng(0).random((4000, 8, 8, 1), np.float32))
    model = trained(tmp_path / "white.npy", tmp_path / "run")
    assert linear_loss(model, Pack.open(tmp_path / "run" / "data")) == pytest.approx(1.0, abs=0.02)


def test_pictures_of_one_brightness(tmp_path: Path) -> None:
    """All variance in one of N waves: (1 + SNR) / (1 + N SNR), and so says the exact Gaussian denoiser of that."""
    brightness = 0.5 + 0.1 * np.random.default_rng(0).normal(size=(3000, 1, 1, 1))
    np.save(tmp_path / "flat.npy", (brightness * np.ones((1, 6, 6, 1))).clip(0, 1).astype(np.float32))
    model = trained(tmp_path / "flat.npy", tmp_path / "run")
    snr, count = LEVELS.exp(), 36
    expected = float(((1 + snr) / (1 + count * snr)).mean())
    pack = Pack.open(tmp_path / "run" / "data")
    assert linear_loss(model, pack) == pytest.approx(expected, rel=0.01)
    variance = model.facts.std**2
    model.denoiser = Linear(model.denoiser.process, model.facts.mean, variance * torch.ones(count, count))
    losses = HeldOut(pack=pack, seed=0)(model, pack.spread(400))
    assert float(losses.mean()) == pytest.approx(expected, rel=0.1)
    own = linear_losses(model, pack)
    assert float(own.mean()) == pytest.approx(linear_loss(model, pack))
    assert float(own.std() / losses.std()) == pytest.approx(1, abs=0.35)  # of the latter noise is a part


def test_tokens_are_bounded_by_their_entropy(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("abcd" * 4000, encoding="utf-8")
    base = apply_settings(load_recipe("text"), [f"data.path={tmp_path / 'letters.txt'}", "modality.tokens=characters"])
    settings = ("network.width=32", "network.depth=1", "training.samples=32", "data.size=[16]")
    model = run(apply_settings(base, settings), tmp_path / "run")
    assert linear_loss(model, Pack.open(tmp_path / "run" / "data")) == pytest.approx(2.0, abs=1e-6)


# ------------------------------------------------------------------------------------------------ the word


def point(samples: int, held: float, trained: float, spread: float = 0.0) -> Point:
    noise = np.random.default_rng(samples).normal(size=32) * spread
    return Point(samples=samples, held_out=held + noise - noise.mean(), trained=np.full(32, trained))


@pytest.mark.parametrize(
    ("points", "heart", "expected"),
    [
        ([], None, ""), ([point(100, 1, 1)], None, ""),
        ([point(100, 0.9, 0.9), point(200, 0.7, 0.69)], 0.1, "learning"),
        ([point(100, 0.5, 0.5), point(200, 0.4995, 0.49)], 0.1, "flat"),
        ([point(100, 0.5, 0.5), point(150, 0.4995, 0.49)], 0.1, "learning"),  # not twice as many yet
        ([point(100, 0.5, 0.5), point(200, 0.4, 0.38), point(400, 0.6, 0.2)], None, "memorising"),
        ([point(100, 0.5, 0.5), point(200, 0.4, 0.38), point(400, 0.401, 0.37, 0.1)], 0.0, "flat"),  # a rise by chance
        ([point(100, 0.5, 0.5), point(200, 0.4, 0.2)], 0.05, "memorising"),  # more than half of the way to knowing by heart
        ([point(100, 0.5, 0.5), point(200, 0.4, 0.2)], None, "learning"),
        ([point(100, 0.5, 0.5), point(200, 0.6, 0.6)], None, "flat"),  # a loss that rises on what is trained on, too
    ],
)
def test_the_word(points: list[Point], heart: float | None, expected: str) -> None:
    assert word(points, heart) == expected


def test_a_network_that_learns_by_heart_is_told(tmp_path: Path) -> None:
    """Forty noises, of which there is nothing else to learn."""
    np.save(tmp_path / "noise.npy", np.random.default_rng(0).random((48, 6, 6, 1), np.float32))
    model = trained(
        tmp_path / "noise.npy", tmp_path / "run", "training.samples=12800", "training.held_out=8", "network.width=128",
        "network.depth=2", "optimiser.learning_rate=0.003",
    )  # fmt: skip
    assert model.card["samples_seen"] == 12800
    found = events(tmp_path / "run", "held out")
    assert len(found) >= 2
    assert found[-1]["word"] == "memorising"
    (reached,) = events(tmp_path / "run", "reached")
    assert reached["n"] == 8
    assert float(str(reached["loss"])) > 0.9  # nothing was learned of what others are
    said = outcome(tmp_path / "run" / "log.jsonl")
    assert said is not None
    assert "memorising: it learns training samples by heart" in said
    page = write_report(tmp_path / "run").read_text(encoding="utf-8")
    assert "by heart" in page
    assert "memorising" in page


@pytest.mark.parametrize(
    ("low", "high", "beside"), [(0.2, 0.4, "as expected"), (0.4, 0.5, "less than"), (0.1, 0.2, "more than")]
)
def test_the_outcome_beside_what_was_expected(low: float, high: float, beside: str, tmp_path: Path) -> None:
    reached = {"event": "reached", "loss": 0.3, "standard_error": 0.01, "word": ""}
    lines = [{"event": "budget", "low": low, "high": high}, reached]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    said = outcome(tmp_path / "log.jsonl")
    assert said is not None
    assert said.startswith("held-out loss 0.3 ± 0.02")
    assert beside in said
    assert outcome(tmp_path / "none.jsonl") is None


def test_looking_changes_nothing(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The weights are those of a run that is not looked at."""
    both = []
    for share in (1.0, -1.0):
        monkeypatch.setattr("pellucid.training.standing.SHARE", share)
        trained(pictures, tmp_path / str(share), "training.samples=640", "training.held_out=16")
        both.append(load_file(tmp_path / str(share) / "model.safetensors"))
    assert len(events(tmp_path / "1.0", "held out")) > len(events(tmp_path / "-1.0", "held out")) == 1
    assert all(torch.equal(value, both[1][name]) for name, value in both[0].items())
