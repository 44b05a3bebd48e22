"""What tuning rests on: a measure that no setting moves, data that no trial sees, a space that holds the default."""

from itertools import pairwise
from math import exp, log
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from exact import mixture
from pellucid.codecs.identity import Identity
from pellucid.core.errors import ConfigError
from pellucid.core.random import Keyed
from pellucid.denoisers.mixture import Mixture
from pellucid.denoisers.posterior import Mean
from pellucid.evaluation.held_out import LEVELS, HeldOut, value_loss
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.training.config import RunConfig, apply_settings, load_recipe
from pellucid.training.loop import assemble
from pellucid.training.prepare import prepare
from pellucid.tuning.dimension import Dimension, configured
from pellucid.tuning.importance import ACCENT, draw_importance
from pellucid.tuning.space import Space
from pellucid.tuning.split import split
from pellucid.tuning.value import value_of

SMALL = ["network.name=mlp", "network.width=8", "network.depth=1"]
TABLE = """
[[dimension]]
key = "training.batch"
values = [8, 16]
[[dimension]]
key = "loss.weighting.name"
values = ["none", "edm"]
"""


def stand_in(denoiser: Any, std: float) -> Any:
    """What `value_loss` asks of a model."""
    modality = SimpleNamespace(importance=None, scales=None)
    return SimpleNamespace(denoiser=denoiser, codec=Identity(), facts=SimpleNamespace(std=std), modality=modality)


def test_the_measure_is_one_for_the_best_that_knows_mean_and_variance() -> None:
    """Gaussian data of variance d, whose best denoiser is linear: the unit in which the loss is told."""
    d, dim = 0.3, 64
    exact = Mixture(Gaussian(schedule=schedules["cosine"]()), weights=torch.ones(1, dtype=torch.float64),
                    means=torch.zeros(1, dim, dtype=torch.float64),
                    covariances=d * torch.eye(dim, dtype=torch.float64)[None])  # fmt: skip
    draws = Keyed(0, range(400))
    found = value_loss(stand_in(exact, d**0.5), draws.normal("x0", 0, (dim,)) * d**0.5, {}, draws)
    assert float(found.mean()) == pytest.approx(1, abs=4 * float(found.std()) / 20)
    assert float(found.std()) < 0.1


def test_no_schedule_moves_the_measure() -> None:
    """The same denoiser along any schedule has the same loss on the same samples, also where a schedule does not reach."""
    draws = Keyed(3, range(64))
    x0 = draws.normal("x0", 0, (2,))
    losses = [
        value_loss(stand_in(mixture(schedules[name]()), 0.9), x0, {}, draws)
        for name in ("rectified", "cosine", "edm", "linear")
    ]
    for one, other in pairwise(losses):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(losses[0], losses[2], rtol=1e-6, atol=1e-8)


def test_the_measure_of_a_denoiser_that_says_nothing() -> None:
    """D = 0 has (SNR + 1/d) x0² at each level; what is missing does not count."""
    class Nothing:
        process = Gaussian(schedule=schedules["rectified"]())

        def __call__(self, x_t: Any, *_: Any) -> Mean:
            return Mean(torch.zeros_like(x_t))

    x0, d = torch.tensor([[1.0, 2.0], [3.0, torch.nan]], dtype=torch.float64), 0.5
    expected = sum(exp(level - log(d)) + 1 / d for level in LEVELS.tolist()) / len(LEVELS)
    found = value_loss(stand_in(Nothing(), d**0.5), x0, {}, Keyed(0, range(2)))
    assert found.tolist() == pytest.approx([2.5 * expected, 9 * expected])


def base(data: Path, *settings: str) -> RunConfig:
    return apply_settings(RunConfig(), [f"data.path='{data}'", *settings])


def test_what_is_held_out_is_a_part_of_the_data_that_the_seed_chooses(pictures: Path, tmp_path: Path) -> None:
    """Every sample is in one of the two packs, whole and with its label; the same seed, the same parts, packed once."""
    parts = split(base(pictures), tmp_path / "a", 0)
    stored, labels = (np.load(pictures.parent / name) for name in ("x.npy", "y.npy"))
    theirs = [part[np.arange(len(part))] for part in (parts.train, parts.held_out)]
    rows = {row.tobytes(): int(label) for row, label in zip(stored, labels, strict=True)}
    found = {row.tobytes(): int(label) for some, names in theirs for row, label in zip(some, names, strict=True)}
    assert (len(parts.train), len(parts.held_out), found) == (87, 9, rows)
    before = (tmp_path / "a" / "train" / "samples.npy").stat().st_mtime_ns
    assert split(base(pictures), tmp_path / "a", 0).train.content == parts.train.content
    assert (tmp_path / "a" / "train" / "samples.npy").stat().st_mtime_ns == before
    assert split(base(pictures), tmp_path / "b", 0).held_out.content == parts.held_out.content
    assert split(base(pictures), tmp_path / "c", 1).held_out.content != parts.held_out.content
    whole = prepare(base(pictures), tmp_path / "whole").pack
    assert split(base(whole.folder), tmp_path / "d", 0).held_out.content == parts.held_out.content


def test_neighbours_are_held_out_together(tmp_path: Path) -> None:
    """Of much data, runs of 16: windows of one recording overlap."""
    np.save(tmp_path / "x.npy", np.arange(3000, dtype=np.uint16)[:, None, None].repeat(4, 1).view(np.uint8))
    held = split(base(tmp_path / "x.npy"), tmp_path / "out", 0).held_out
    ids = held[np.arange(len(held))][0].reshape(len(held), -1)[:, :2].copy().view(np.uint16)[:, 0].astype(int)
    assert len(ids) == 256
    assert (np.diff(ids.reshape(-1, 16)) == 1).all()
    assert (ids.reshape(-1, 16)[:, 0] % 16 == 0).all()


def test_a_label_that_no_trial_trains_on_asks_for_nothing(pictures: Path, tmp_path: Path) -> None:
    parts = split(base(pictures), tmp_path, 0)
    prepared = prepare(base(parts.train.folder, *SMALL), tmp_path)
    model, *_ = assemble(base(parts.train.folder, *SMALL, "training.samples=16"), prepared)
    model.facts = model.facts.model_copy(update={"labels": ("0", "2")})
    ids, labels = np.arange(3), np.array([0, 1, 2])
    cond = HeldOut(pack=parts.held_out, seed=0)._cond(model, ids, labels)
    assert cond is not None
    assert cond["label"].tolist() == [0, 2, 1]


@pytest.mark.parametrize("recipe", [None, "text", "series", "sound", "joint", "fashion-mnist"])
def test_the_default_is_in_the_space(recipe: str | None) -> None:
    """Whatever the kind of data: every default that can be told is among the values or within the range."""
    config = RunConfig() if recipe is None else load_recipe(recipe)
    table = Space.read(config)
    defaults = table.defaults()
    assert {"optimiser.learning_rate", "training.batch", "schedule.name"} <= defaults.keys()
    for each in (each for each in table.dimensions if each.key in defaults and each.applies(config)):
        own = defaults[each.key]
        assert own in each.values if each.values is not None else each.low <= own <= each.high  # type: ignore[operator]
    tokens = config.process["name"] == "masked"
    assert ("process.name" in defaults, "loss.weighting.name" in defaults) == (tokens, not tokens and recipe != "series")


def test_everything_in_the_space_can_be_built(pictures: Path, tmp_path: Path) -> None:
    """Each value and end of a range by itself, and predictions with schedules, whose ends they do not all know."""
    prepared = prepare(base(pictures), tmp_path)
    for network, beginning in (("unet", "network."), ("mlp", "")):
        config = base(pictures, f"network.name={network}", "training.samples=16")
        table = Space.read(config)
        for each in (each for each in table.dimensions if each.applies(config) and each.key.startswith(beginning)):
            for value in each.values or (each.low, each.high):
                assemble(configured(config, {each.key: value}), prepared)
    small = base(pictures, *SMALL, "training.samples=16")
    choices = {each.key: each.values or [] for each in Space.read(small).dimensions if each.applies(small)}
    for schedule in choices["schedule.name"]:
        for prediction in choices["denoiser.prediction"]:
            for shift in (0.3, 3.0):
                settings = {"schedule.name": schedule, "schedule.shift": shift, "denoiser.prediction": prediction}
                assemble(configured(small, settings), prepared)


def test_what_is_set_is_not_tuned_and_a_table_of_ones_own_comes_first(tmp_path: Path) -> None:
    space = tmp_path / "space.toml"
    space.write_text(TABLE)
    config = apply_settings(RunConfig(), ["training.batch=48", "network.name=transformer", "network.width=100"])
    ours = {each.key: each for each in Space.read(config).dimensions if each.applies(config)}
    assert ours["training.batch"].values == [48, 16, 32, 64, 128]
    assert (ours["network.width"].low, ours["network.width"].high, ours["network.width"].step) == (64, 384, 1)
    assert "network.size" not in ours
    theirs = {each.key: each for each in Space.read(config, space, fixed=["training.ema"]).dimensions}
    assert "training.ema" not in theirs
    assert theirs["training.batch"].values == [48, 8, 16]
    assert theirs["loss.weighting.name"].values == ["none", "edm"]
    assert value_of(config, "optimiser.learning_rate") == 0.005
    assert value_of(config, "optimiser.nothing") is value_of(config, "training.batch.x") is None
    keys = [each.key for each in Space.read(config, space).dimensions]
    with pytest.raises(ConfigError, match="Nothing is left to tune"):
        Space.read(config, space, fixed=keys)


@pytest.mark.parametrize(("text", "message"), [
    ("[[dimension]]\nkey = 'a.b'", r"a\.b: expected values = \[...\], or low and high"), ("x = [", "is not valid TOML"),
    ("[[dimension]]\nkey = 'a.b'\nlow = 2\nhigh = 1", "low = 2 is above high = 1"), ("", r"expected \[\[dimension\]\]"),
    ("[[dimension]]\nkey = 'a.b'\nlow = 0\nhigh = 1\nlog = true", "takes low above 0, got 0"),
    ("[[dimensions]]\nkey = 'a.b'", "'dimensions' is none: did you mean 'dimension'"),
    ("[[dimension]]\nkey = 'a.b'\nvalue = [1]", "value: .*not permitted"),
])  # fmt: skip
def test_a_table_that_is_none(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        Space.read(RunConfig(), tmp_path / "space.toml")
    with pytest.raises(ConfigError, match="Cannot read the space"):
        Space.read(RunConfig(), tmp_path / "none.toml")


def test_bars_are_as_long_as_shares(tmp_path: Path) -> None:
    """Of the picture of what mattered."""
    draw_importance({"a.b": 0.6, "c.d": 0.3, "e.f": 0.1}, "Title", "note", tmp_path / "x.png")
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).astype(int)
    accent = np.array([int(ACCENT[i : i + 2], 16) for i in (1, 3, 5)])
    lengths = (np.abs(pixels - accent).sum(2) == 0).sum(1)
    middles = [run.max() for run in np.split(lengths, np.flatnonzero(np.diff((lengths > 0).astype(int))) + 1) if run.max()]
    assert np.array(middles) / middles[0] == pytest.approx([1, 0.5, 1 / 6], abs=0.02)


def test_digits_that_a_person_would_give() -> None:
    each = Dimension(key="a.b", low=0.001, high=0.1, log=True)
    assert each.restored(0.0123456789) == 0.0123
    assert Dimension(key="a.b", values=[[1, 2]]).restored("[1, 2]") == [1, 2]
