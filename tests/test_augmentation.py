"""Flips and shifts: what each picture becomes, how often, and that neither batches nor packs depend on it."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pellucid.codecs import codecs
from pellucid.core.errors import InterruptedRunError
from pellucid.core.random import Keyed
from pellucid.data.pack import Pack
from pellucid.losses import times
from pellucid.modalities.image import Image
from pellucid.processes.gaussian import Gaussian
from pellucid.schedules import schedules
from pellucid.training.augmentation import Augmentation
from pellucid.training.batches import Batches
from pellucid.training.conditions import Conditions
from pellucid.training.config import Flip, RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.prepare import prepare
from pellucid.training.state import TrainingState

COUNT = 2000
PICTURE = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
MANY = np.broadcast_to(PICTURE, (COUNT, *PICTURE.shape))
DRAWS = Keyed(3, np.arange(COUNT))


@pytest.mark.parametrize(("flip", "ways"), [
    ("none", [()]), ("horizontal", [(), (2,)]), ("vertical", [(), (1,)]), ("both", [(), (1,), (2,), (1, 2)]),
])
def test_each_way_equally_often(flip: Flip, ways: list[tuple[int, ...]]) -> None:
    shown = Augmentation(flip=flip)(MANY, DRAWS, 0)
    seen = [(shown == np.flip(PICTURE, way)).all(axis=(1, 2, 3)).sum() for way in ways]
    assert sum(seen) == COUNT
    expected = COUNT / len(ways)
    assert all(abs(count - expected) <= 4 * expected**0.5 for count in seen)


def test_every_shift_equally_often_with_the_edge_repeated() -> None:
    """Against padding and cropping, for each of the 5 x 5 moves."""
    shown = Augmentation(shift=2)(MANY, DRAWS, 0)
    padded = np.pad(PICTURE, ((0, 0), (2, 2), (2, 2)), mode="edge")
    moved = [padded[:, top : top + 4, left : left + 5] for top in range(5) for left in range(5)]
    seen = [(shown == picture).all(axis=(1, 2, 3)).sum() for picture in moved]
    assert sum(seen) == COUNT
    assert all(abs(count - 80) < 4 * 9 for count in seen)  # 80 expected, of standard deviation 9


def test_a_shift_beyond_the_picture_is_its_edge() -> None:
    shown = Augmentation(shift=100)(MANY, DRAWS, 0)
    assert shown.shape == MANY.shape
    assert set(shown[:, 0].ravel()) <= set(PICTURE[0].ravel())


def batches(folder: Path, **settings: object) -> tuple[Batches, Pack]:
    np.save(folder / "x.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    flags = [f"data.path={folder / 'x.npy'}", *(f"data.{key}={value}" for key, value in settings.items())]
    config = apply_settings(RunConfig(), flags)
    pack = prepare(config, folder / "pack").pack
    process, cpu = Gaussian(schedule=schedules["cosine"]()), torch.device("cpu")
    augmentation = Augmentation(flip=config.data.flip, shift=config.data.shift)
    codec, drawn = codecs["identity"](), times["logit_normal"]()
    return Batches(pack, Image(), codec, process, drawn, 0, Conditions(), cpu, torch.float32, augmentation), pack


def test_a_function_of_sample_and_epoch(tmp_path: Path) -> None:
    """Any split of the stream shows the same pictures; another epoch shows others; the noise is what it was without."""
    augmented, pack = batches(tmp_path, flip="both", shift=2)
    whole = augmented(10, 90)
    for parts in ([augmented(10, 35), augmented(45, 55)], [augmented(place, 1) for place in range(10, 100)]):
        assert torch.equal(torch.cat([part.x0 for part in parts]), whole.x0)
    by_epoch = [{int(i): x for i, x in zip(b.ids, b.x0, strict=True)} for b in (augmented(0, 40), augmented(40, 40))]
    assert sum(not torch.equal(by_epoch[0][i], by_epoch[1][i]) for i in range(40)) > 20
    plain, _ = batches(tmp_path)
    assert torch.equal(plain(10, 90).eps, whole.eps)
    assert torch.equal(plain(10, 90).x0, Image().decode(pack[plain(10, 90).ids][0]))


def test_packs_do_not_know_of_it(tmp_path: Path) -> None:
    _, plain = batches(tmp_path)
    _, augmented = batches(tmp_path, flip="both")  # the source is written anew: the same bytes, another time
    assert plain.content == augmented.content
    made = (tmp_path / "pack" / "manifest.json").stat().st_mtime_ns
    config = apply_settings(RunConfig(), [f"data.path={tmp_path / 'x.npy'}", "data.shift=3"])
    prepare(config, tmp_path / "pack")
    assert (tmp_path / "pack" / "manifest.json").stat().st_mtime_ns == made


def test_a_resumed_run_shows_the_same(tmp_path: Path) -> None:
    """Stopped after two epochs and resumed: the same weights to the bit. Without a shift: others."""
    torch.set_num_threads(1)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).integers(0, 256, (40, 8, 8), dtype=np.uint8))
    settings = ["network.name=mlp", "network.width=16", "network.depth=2", "training.batch=16", "data.flip=both"]

    class Stop:
        def begin(self, *_: object) -> None: ...

        def step(self, state: TrainingState, *_: object) -> None:
            if state.seen == 80:
                os.kill(os.getpid(), signal.SIGTERM)

    def weights(out: str, *more: str, **options: Any) -> list[Tensor]:
        config = apply_settings(RunConfig(), [f"data.path={tmp_path / 'x.npy'}", "training.samples=160", *settings, *more])
        return list(run(config, tmp_path / out, **options).tensors().values())

    whole = weights("whole", "data.shift=2")
    with pytest.raises(InterruptedRunError):
        weights("stopped", "data.shift=2", observer=Stop())
    resumed, other = weights("stopped", "data.shift=2", resume=True), weights("other")
    assert all(torch.equal(a, b) for a, b in zip(whole, resumed, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(whole, other, strict=True))
