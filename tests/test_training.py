"""What training sees, how long it lasts, what it averages, and what it says when it goes wrong."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pellucid.core.errors import DataError, DivergenceError
from pellucid.core.random import Keyed
from pellucid.data.order import stream
from pellucid.losses import times
from pellucid.modalities.image import Image
from pellucid.model.model import Model
from pellucid.training.batches import Batch, Batches
from pellucid.training.conditions import Conditions
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.journal import Journal
from pellucid.training.loop import run
from pellucid.training.plan import learning_rate_factor
from pellucid.training.prepare import Prepared, prepare
from pellucid.training.state import TrainingState, checkpoints

COUNT = 96
WEIGHT = "network.blocks.blocks.1.modulation.linear.weight"
SMALL = (
    "network.name=mlp", "network.width=16", "network.depth=2", "training.batch=16", "training.log_samples=16",
    "optimiser.name=adamw",
)  # fmt: skip


@dataclass(eq=False)
class Watch:
    """An observer that calls back and keeps what it saw."""

    at_start: Callable[[Prepared, Model, TrainingState], None] | None = None
    at_step: Callable[[TrainingState], None] | None = None
    losses: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        self.state = state
        if self.at_start:
            self.at_start(prepared, model, state)

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        assert samples_per_second > 0
        self.losses.append(loss)
        self.rates.append(state.optimiser.param_groups[0]["lr"])
        if self.at_step:
            self.at_step(state)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Networks this small lose more to waiting threads than they gain."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def prepared(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(configured(pictures), tmp_path_factory.mktemp("pack") / "data")


def configured(data: Path, *more: str) -> RunConfig:
    return apply_settings(RunConfig(), [f"data.path={data}", *SMALL, *more])


def batches(prepared: Prepared, *, seed: int = 0, drop: float = 0.1, labelled: bool = True, **parts: Any) -> Batches:
    model = Model.create(configured(Path("x"), *parts.get("settings", ())).model_part(), prepared.facts)
    process, drawn, cpu = model.denoiser.process, times["logit_normal"](), torch.device("cpu")
    conditions = Conditions(model.conditioners if labelled else {}, drop)
    return Batches(prepared.pack, Image(), model.codec, process, drawn, seed, conditions, cpu, torch.float32)


def log(folder: Path, kind: str) -> list[dict[str, Any]]:
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["event"] == kind]


def joined(parts: list[Batch]) -> dict[str, Tensor]:
    """Everything in consecutive batches, as one."""
    fields = {name: torch.cat([getattr(part, name) for part in parts]) for name in ("x0", "t", "eps")}
    fields["label"] = torch.cat([part.cond["label"] for part in parts])
    return {**fields, "ids": torch.from_numpy(np.concatenate([part.ids for part in parts]))}


# ----------------------------------------------------------------------------------------------- what training sees


@pytest.mark.parametrize("size", [1, 7, 64, 250])
def test_each_sample_once_an_epoch(size: int, prepared: Prepared) -> None:
    """Five epochs in batches of any size, across their borders: each epoch is a permutation, each another one."""
    make = batches(prepared)
    ids = joined([make(start, min(size, 5 * COUNT - start)) for start in range(0, 5 * COUNT, size)])["ids"]
    epochs = ids.reshape(5, COUNT)
    assert torch.equal(epochs.sort(1).values, torch.arange(COUNT).expand(5, COUNT))
    assert len(epochs.unique(dim=0)) == 5


@pytest.mark.parametrize("chain", [(), ("schedule.name=additive", "schedule.steps=10", "process.name=additive",
                                        "process.noise_kind=uniform")], ids=["gaussian", "uniform chain"])  # fmt: skip
def test_batches_are_a_pure_function_of_position(chain: tuple[str, ...], prepared: Prepared) -> None:
    """Pictures, times, noise, labels and dropout are the same bits one by one, backwards, and 64 or 130 at a time."""
    make = batches(prepared, settings=chain)
    whole = joined([make(40, 130)])
    backwards = [make(place, 1) for place in reversed(range(40, 170))][::-1]
    for parts in (backwards, [make(40, 64), make(104, 66)], make(40, 130).split(32)):
        for name, value in joined(parts).items():  # torch's vectors and their remainders differ in sigmoid's last bit
            assert torch.equal(value, whole[name]) or (name == "t" and float((value - whole[name]).abs().max()) < 1e-15)
    assert not torch.equal(joined([batches(prepared, seed=1, settings=chain)(40, 130)])["eps"], whole["eps"])


def test_noise_belongs_to_the_sample_and_the_epoch(prepared: Prepared) -> None:
    """It is keyed by (seed, sample, epoch), standard normal, and new in each epoch."""
    make, by_epoch = batches(prepared, seed=3), []
    for epoch in range(2):
        batch = make(epoch * COUNT, COUNT)
        expected = Keyed(3, batch.ids).normal("noise", epoch, (1, 8, 8))
        assert torch.equal(batch.eps, expected.float())
        by_epoch.append(batch.eps[np.argsort(batch.ids)].flatten())
    assert abs(float(torch.corrcoef(torch.stack(by_epoch))[0, 1])) < 5 / sqrt(COUNT * 64)
    assert abs(float(by_epoch[0].std()) - 1) < 5 / sqrt(2 * COUNT * 64)


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5])
def test_conditions_are_dropped_at_the_asked_rate(rate: float, prepared: Prepared) -> None:
    """Within four standard deviations over 40 epochs, never at rate 0, and what is kept is the sample's own label."""
    seen = joined([batches(prepared, drop=rate)(0, 40 * COUNT)])
    dropped = seen["label"] == 3
    assert abs(float(dropped.double().mean()) - rate) <= 4 * sqrt(rate * (1 - rate) / len(dropped))
    assert torch.equal(seen["label"][~dropped], seen["ids"][~dropped] % 3)
    each = torch.zeros(COUNT).index_add_(0, seen["ids"], dropped.float())
    assert rate == 0 or float(each.max()) < 40  # no sample goes without its label for good
    assert batches(prepared, drop=rate, labelled=False)(0, 4).cond == {}


# ------------------------------------------------------------------------------------------ how long, how fast, how far


def test_learning_rate_rises_stays_and_ends_at_zero() -> None:
    """Linear warm-up over samples, a plateau, then linear to exactly 0; either part may be left out."""
    assert [learning_rate_factor(seen, 0.0, warmup=100, decay=0.5) for seen in (0, 25, 100, 200)] == [0, 0.25, 1, 1]
    falling = [learning_rate_factor(1000, progress, warmup=100, decay=0.5) for progress in (0.4, 0.5, 0.75, 1.0)]
    assert falling == [1, 1, 0.5, 0]
    assert learning_rate_factor(25, 0.75, warmup=100, decay=0.5) == 0.25 * 0.5  # both at once, in a short run
    assert learning_rate_factor(0, 1.0, warmup=0, decay=0.0) == 1


def test_steps_use_the_curve(pictures: Path, tmp_path: Path) -> None:
    """Each step's rate is the optimiser's own times the curve at the samples seen before it; the curve ends at 0."""
    watch = Watch()
    settings = ("training.samples=320", "training.warmup=64", "training.decay=0.4", "optimiser.learning_rate=0.004")
    run(configured(pictures, *settings), tmp_path, observer=watch)
    expected = [0.004 * min(1, seen / 64) * min(1, (1 - seen / 320) / 0.4) for seen in range(0, 320, 16)]
    np.testing.assert_allclose(watch.rates, expected, rtol=1e-12)
    assert learning_rate_factor(320, watch.state.plan.progress(320), warmup=64, decay=0.4) == 0
    train = log(tmp_path, "train")
    assert [event["samples"] for event in train] == list(range(16, 336, 16))
    assert [(event["loss"], event["learning_rate"]) for event in train] == list(zip(watch.losses, watch.rates, strict=True))


def test_a_run_by_minutes_ends_by_the_clock(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a clock of our own: it ends within the minutes, having planned anew after the speed halved."""
    now = [0.0]

    def clock() -> float:
        now[0] += 0.02 if now[0] < 3 else 0.04
        return now[0]

    monkeypatch.setattr("pellucid.training.steps.monotonic", clock)
    watch = Watch()
    run(configured(pictures, "training.minutes=0.2"), tmp_path, observer=watch)
    assert 0.9 * 12 < watch.state.plan.elapsed < 1.05 * 12
    plans = log(tmp_path, "plan")
    assert len(plans) >= 2
    assert plans[-1]["total"] == watch.state.seen == Model.load(tmp_path).card["samples_seen"] < plans[0]["total"]
    assert watch.rates[-1] < 0.05 * max(watch.rates)


def test_the_log_forgets_what_will_come_again(tmp_path: Path) -> None:
    """Resuming after 20 samples drops later lines and a torn one, keeps the others to the letter."""
    journal = Journal(tmp_path, 0)
    for samples in (10, 20, 30):
        journal.write("train", samples, loss=1 / samples)
    journal.close()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    (tmp_path / "log.jsonl").write_text("\n".join([*lines, '{"event": "train", "sam']))
    journal = Journal(tmp_path, 20)
    journal.write("train", 30, loss=0.5)
    journal.close()
    after = (tmp_path / "log.jsonl").read_text().splitlines()
    assert after[:2] == lines[:2]
    assert [json.loads(line)["loss"] for line in after[2:]] == [0.5]


# --------------------------------------------------------------------------------------------- when it goes wrong


def diagnosed(data: Path, out: Path, watch: Watch, *more: str) -> str:
    """The diagnosis of a run that must not end well."""
    with pytest.raises(DivergenceError) as caught:
        run(configured(data, "training.samples=320", "training.checkpoint_samples=32", *more), out, observer=watch)
    assert not (out / "model.safetensors").exists()
    return str(caught.value)


def assert_intact(data: Path, out: Path, seen: int) -> None:
    """The newest checkpoint is that after `seen` samples, all finite, and training goes on from it to a model."""
    assert checkpoints(out / "checkpoints")[-1].stem == f"{seen:012d}"
    starts: list[int] = []
    watch = Watch(at_start=lambda _prepared, _model, state: starts.append(state.seen))
    run(configured(data), out, resume=True, observer=watch)
    assert starts == [seen]
    assert all(value.isfinite().all() for value in Model.load(out).tensors().values())


def at(seen: int, change: Callable[[nn.Module], None]) -> Watch:
    """After so many samples, `change` is done to the denoiser."""

    def at_step(state: TrainingState) -> None:
        if state.seen == seen:
            with torch.no_grad():
                change(state.loss.denoiser)

    return Watch(at_step=at_step)


@pytest.mark.parametrize("value", [float("nan"), float("inf")], ids=str)
def test_a_bad_weight_is_named(value: float, pictures: Path, tmp_path: Path) -> None:
    """The first one in the order of computation, with samples, times, rate and advice; the last checkpoint is intact."""
    message = diagnosed(pictures, tmp_path, at(80, lambda denoiser: denoiser.get_parameter(WEIGHT)[2].fill_(value)))
    assert "NaN or Inf after 80 samples" in message
    assert f"first bad tensor  weight denoiser.{WEIGHT}" in message
    for index in stream(0, COUNT, 80, 4):
        assert re.search(rf"sample {index} at t = 0\.\d+", message)
    assert "learning rate     3.91e-05" in message  # 0.001 x 80 / 2048: in the warm-up
    assert re.search(r"What to try, in a new run: .*optimiser\.learning_rate=.*training\.warmup=", message)
    assert_intact(pictures, tmp_path, 64)


def test_bad_data_is_named(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The very sample, with its time; the advice is to look at it. Training goes on once the data is mended."""
    number = int(stream(0, COUNT, 90, 1)[0])
    picture, decode = np.load(pictures)[number], Image.decode

    def spoilt(self: Image, stored: Any) -> Tensor:
        x = decode(self, stored)
        x[(np.asarray(stored) == picture).all((1, 2, 3)), 0, 3, 3] = float("nan")
        return x

    with monkeypatch.context() as patch:
        message = diagnosed(pictures, tmp_path, Watch(at_start=lambda *_: patch.setattr(Image, "decode", spoilt)))
        with pytest.raises(DataError, match="holds values that are not numbers"):
            prepare(configured(pictures), tmp_path / "elsewhere")
    assert "after 80 samples" in message
    assert "first bad tensor  data (x0)" in message
    assert "What to try, in a new run: look at these samples" in message
    assert re.search(rf"bad losses +sample {number} at t = 0\.\d+\n", message)
    assert_intact(pictures, tmp_path, 64)


def test_an_exploding_rate_is_named(pictures: Path, tmp_path: Path) -> None:
    """The tensor is the network's or the loss's, by its module's name; the rate is told."""
    watch = Watch()
    message = diagnosed(pictures, tmp_path, watch, "optimiser.learning_rate=1e30", "training.warmup=0")
    kind, name = re.search(r"first bad tensor  (output of|gradient of|weight) (\S+)\n", message).groups()
    known = watch.state.loss.named_modules() if kind == "output of" else watch.state.loss.named_parameters()
    assert name in dict(known)
    assert "learning rate     1e+30" in message
    assert re.search(r"sample \d+ at t = 0\.\d+(.|\n)*What to try, in a new run: a lower learning rate", message)


def test_an_explosion_leaves_the_last_checkpoint(pictures: Path, tmp_path: Path) -> None:
    """Weights too large for their products are found at the next step, before anything is saved."""
    diagnosed(pictures, tmp_path, at(80, lambda denoiser: denoiser.network.head.weight.fill_(1e30)))
    assert_intact(pictures, tmp_path, 64)


def test_no_checkpoint_holds_nan(pictures: Path, tmp_path: Path) -> None:
    """Also when a weight goes bad in the very step after which one is due."""
    bad = at(96, lambda denoiser: denoiser.get_parameter(WEIGHT).fill_(torch.nan))
    diagnosed(pictures, tmp_path, bad, "training.keep_checkpoints=1")
    assert_intact(pictures, tmp_path, 64)


def hooked(factor: float) -> Watch:
    """The gradient of one weight is multiplied by `factor`."""

    def at_start(_prepared: Prepared, model: Model, _state: TrainingState) -> None:
        model.denoiser.get_parameter(WEIGHT).register_hook(lambda gradient: gradient * factor)

    return Watch(at_start=at_start)


def test_a_bad_gradient_is_named(pictures: Path, tmp_path: Path) -> None:
    """Where the loss is finite, the parameter whose gradient is not."""
    assert f"gradient of denoiser.{WEIGHT}" in diagnosed(pictures, tmp_path, hooked(float("nan")))


def test_a_gradient_too_long_is_not_the_machines_fault(pictures: Path, tmp_path: Path) -> None:
    """Finite gradients whose squares overflow: the message says so."""
    message = diagnosed(pictures, tmp_path, hooked(1e30), "training.warmup=0")
    assert "gradient norm     inf" in message
    assert "unsteady machine" not in message


def test_the_advice_can_be_followed(pictures: Path, tmp_path: Path) -> None:
    """It lowers the rate that was set, and speaks of a checkpoint only if there is one."""
    message = diagnosed(pictures, tmp_path, hooked(float("nan")), "optimiser.learning_rate=0.003")
    assert "optimiser.learning_rate=0.001" in message
    assert "checkpoint" not in message
