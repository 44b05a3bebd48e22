"""Data packed once for all trials, and a share of it that none of them trains on."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.config import build
from pellucid.core.errors import DataError, UserError
from pellucid.core.items import Item, Record
from pellucid.data.hashing import fingerprint
from pellucid.data.held_out import LEAST, held_out, share_of
from pellucid.data.pack import Pack, is_pack
from pellucid.data.write import write_pack
from pellucid.modalities import modalities
from pellucid.training.config import RunConfig
from pellucid.training.prepare import PICTURES, kind_of, prepare

TRAIN, HELD_OUT = "train", "held-out"
SHARE = 0.1
"""Of the samples that are held out."""
SMALLEST = 5 * LEAST
"""Samples that there must be in all."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What is trained on, and what is measured on."""

    train: Pack
    held_out: Pack


def split(config: RunConfig, folder: Path, seed: int) -> Parts:
    """Pack `config.data` into `folder`/train and `folder`/held-out, or open those that are there and still current.

    Arguments:
        seed: chooses what is held out.

    Raises:
        DataError: nothing readable, or too little of it.
    """
    path, kind = Path(config.data.path), kind_of(config)
    settings = config.data.model_dump(mode="json", include={"size", "channels"}) | {"held_out": seed}
    if config.data.column is not None:
        settings["column"] = config.data.column
    if kind != PICTURES:
        settings["modality"] = kind
    marks = Pack.open(path).content if is_pack(path) else fingerprint(build(modalities, kind).files(path))
    there = _there(folder, settings, marks)
    if there is None:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=folder.parent) as temporary:
            made = Path(temporary) / "made"
            whole = prepare(config, Path(temporary) / "whole").pack
            held = _held_out(whole, seed)
            for name, chosen in ((TRAIN, ~held), (HELD_OUT, held)):
                write_pack(_records(whole, np.flatnonzero(chosen)), made / name, settings=settings, fingerprint=marks)
            with suppress(OSError):  # another worker was faster, which the next line finds out
                if folder.is_dir() and _there(folder, settings, marks) is None:
                    folder.rename(Path(temporary) / "of other data")
                made.rename(folder)
            there = _there(folder, settings, marks)
    if there is None:
        raise UserError(f"Cannot write '{folder}': give another --out")
    return there


def _there(folder: Path, settings: dict[str, Any], marks: str) -> Parts | None:
    """Both packs, if they are sound and current."""
    train, held_out = (Pack.current(folder / name, settings, marks) for name in (TRAIN, HELD_OUT))
    return Parts(train=train, held_out=held_out) if train and held_out else None


def _held_out(whole: Pack, seed: int) -> NDArray[np.bool_]:
    """Which samples are: runs of neighbours in keyed places."""
    count = len(whole)
    if count < SMALLEST:
        raise DataError(
            f"The data has {count} samples: tuning needs {SMALLEST} or more, of which it measures on at least {LEAST} that "
            "no trial trains on"
        )
    return held_out(count, share_of(count, SHARE), seed)


def _records(whole: Pack, ids: NDArray[np.int64]) -> Iterator[Record]:
    """Where all came from, and these samples."""
    yield from whole.sources()
    for sample in ids.tolist():
        stored, labels = whole[np.array([sample])]
        label = whole.label_names[int(labels[0])] if labels[0] >= 0 else None
        yield Item(source=f"sample {sample}", data=stored[0], label=label, captions=whole.captions(sample))
