"""From a path to packed data, the facts about it and a complete configuration."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.config import build
from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.items import Record
from pellucid.data.hashing import fingerprint
from pellucid.data.held_out import held_out
from pellucid.data.pack import Pack, is_pack
from pellucid.data.stream import Stream
from pellucid.data.write import write_pack
from pellucid.modalities import modalities
from pellucid.modalities.modality import Modality
from pellucid.model.assemble import assemble_modality
from pellucid.model.config import Facts, Section
from pellucid.sources.find import is_remote
from pellucid.training.config import RunConfig
from pellucid.training.forcing import forced_share
from pellucid.training.streaming import Tell, check_packed, check_streamed, streamed

STATISTICS = 2048
"""Samples, spread over the data, from which mean and standard deviation are taken."""

PICTURES: Section = {"name": "image"}
"""What a pack holds that does not say."""

Watch = Callable[[Iterator[Record]], Iterator[Record]]


@dataclass(frozen=True)
class Prepared:
    """Packed data and what it decides; `kind` is the section of its modality, with its name.

    Of a `stream`, which holds all samples, `pack` is a sample, by which the data and the model are looked at.
    """

    pack: Pack
    modality: Modality
    facts: Facts
    kind: Section
    stream: Stream | None = None

    @property
    def whole(self) -> Pack:
        """All samples."""
        return self.stream or self.pack

    def held_out(self, config: RunConfig) -> NDArray[np.bool_]:
        """Which samples of `pack` are not trained on.

        Raises:
            ConfigError: all of them.
        """
        count, wanted = len(self.pack), config.training.held_out or 0
        held = held_out(count, wanted, config.seed)
        if held.all():
            raise ConfigError(f"training.held_out = {wanted} leaves nothing of {count} samples to train on")
        return held

    def trained_on(self, held: NDArray[np.bool_]) -> NDArray[np.int64]:
        """The ids of all samples but those of `pack` that are held out."""
        if self.stream is None:
            return np.flatnonzero(~held)
        kept = np.ones(len(self.stream), dtype=bool)
        kept[self.stream.look[held]] = False
        return np.flatnonzero(kept)


def prepare(
    config: RunConfig, folder: Path, *, started: bool = False, watch: Watch = iter, tell: Tell | None = None
) -> Prepared:
    """Read and pack `config.data` into `folder`, or open the pack that is there and still current.

    Arguments:
        started: a run has trained on the pack that is there, which is then not given up for other data, and serves when
            the source is gone.
        watch: passes on the records while they are read, and may count them.
        tell: shows a line under a name, how far a stream is read; None: of data that is a stream there is no use.

    Raises:
        DataError: nothing readable, or labels or captions asked for where there are none.
        ConfigError: a prior too narrow for the data is found when the process is built.
    """
    path = Path(config.data.path)
    kind = kind_of(config)
    reader: Modality = build(modalities, kind)
    stream = _streamed(config, folder, kind, started, tell)
    pack = _packed(config, path, folder, reader, kind, started, watch) if stream is None else Pack.open(folder)
    whole = stream or pack
    wanted, column = config.data.condition, config.data.column
    meant = wanted if column is None else reader.column
    with_captions = meant in ("auto", "caption") and bool(whole.captioned)
    with_labels = meant in ("auto", "label") and bool(whole.label_names)
    if wanted == "label" and not with_labels:
        raise DataError(
            f"condition = label, but '{path}' has no labels: expected sub-folders named by label, or a labels file beside "
            "the array"
        )
    if column is not None and not with_captions and not with_labels:
        raise DataError(
            f"condition = {column}, but nothing in '{path}' has a text under that name: expected auto, none, label, "
            "caption, or a column of metadata.jsonl, metadata.csv or a Parquet file"
        )
    if wanted == "caption" and not with_captions:
        raise DataError(
            f"condition = caption, but '{path}' has no captions: expected metadata.jsonl or metadata.csv with the columns "
            "file_name and text, a .txt file beside each picture, or a Parquet column named text or caption"
        )
    if with_labels and int(np.asarray(whole.labels).min()) < 0:
        raise ConfigError(
            f"Some samples in '{path}' have no label: use --condition none, or move every file into a sub-folder"
        )
    learned = reader.learn(pack[pack.spread(STATISTICS)][0], pack.details)
    modality = assemble_modality(kind, learned)
    mean, std = _statistics(pack, modality)
    labels = whole.label_names if with_labels else ()
    share = modality.given if config.loss.given is None else config.loss.given
    facts = Facts(
        shape=pack.shape, labels=labels, captions=with_captions, given=share > 0, forced=forced_share(config, modality) > 0,
        missing=bool(pack.missing), categories=modality.categories, mean=mean, std=std, modality=learned,
    )  # fmt: skip
    return Prepared(pack, modality, facts, kind, stream)


def kind_of(config: RunConfig) -> Section:
    """The section of the modality: of the pack, or the one whose files `data.path` has, where none is named."""
    path, asked = Path(config.data.path), config.modality
    if is_pack(path):
        own: Section = Pack.open(path).manifest["settings"].get("modality", PICTURES)
        changed = next((key for key, value in asked.items() if asked.get("name") != "auto" and own.get(key) != value), None)
        changed = changed or next((key for key in asked if key not in ("name", *own)), None)
        if changed is not None:
            raise ConfigError(
                f"The pack '{path}' was made with modality.{changed} = {own.get(changed)}, which modality.{changed} = "
                f"{asked[changed]} cannot change: train from the source files, or leave it out"
            )
        return own
    if asked.get("name") != "auto":
        return asked
    if config.data.stream:
        return {**asked, **PICTURES}
    name = next((name for name in modalities if modalities[name]().recognises(path)), PICTURES["name"])
    return {**asked, "name": name}


def _streamed(config: RunConfig, folder: Path, kind: Section, started: bool, tell: Tell | None) -> Stream | None:
    """The stream that is asked for, if one is."""
    if not config.data.stream:
        check_packed(Path(config.data.path))
        return None
    if tell is None:
        raise UnsupportedError("data.stream is for training alone: leave it out here, and the data is packed")
    check_streamed(kind)
    return streamed(config, folder, started=started, tell=tell)


def _packed(
    config: RunConfig, path: Path, folder: Path, modality: Modality, kind: Section, started: bool, watch: Watch
) -> Pack:
    if is_pack(path):
        return _fitting(Pack.open(path), config)
    settings = config.data.model_dump(mode="json", include={"size", "channels"})
    if config.data.column is not None:
        settings["column"] = config.data.column
    if kind != PICTURES:
        settings["modality"] = kind
    there = _there(folder, settings)
    exists = path.exists() or is_remote(path)
    if there is not None and started and not exists:
        return there  # the source is gone, what was packed of it is not
    marks = fingerprint(modality.files(path)) if exists else ""
    current = Pack.current(folder, settings, marks)
    if current is not None:
        return current
    own = config.data
    records = watch(modality.read(path, size=own.size, channels=own.channels, labels=True, column=own.column))
    if there is None or not started:
        return write_pack(records, folder, settings=settings, fingerprint=marks)
    found = write_pack(records, folder.with_name("data-found"), settings=settings, fingerprint=marks)
    rmtree(found.folder)
    if found.content != there.content:
        raise DataError(
            f"'{path}' is not the data that this run was started with, of which '{folder}' holds a copy: leave the path out "
            "to go on with that, or start a new run in another folder"
        )
    return there


def _fitting(pack: Pack, config: RunConfig) -> Pack:
    """A pack given as data, whose shape is what it is."""
    size, channels, column = config.data.size, config.data.channels, config.data.column
    if column is not None and pack.manifest["settings"].get("column") != column:
        raise ConfigError(
            f"The pack '{pack.folder}' does not hold captions of column '{column}': train from the source files, or leave "
            "condition out"
        )
    fits = pack.shape[-len(size) :] == size if isinstance(size, tuple) else size in (None, max(pack.shape[-2:]))
    if not fits or (channels is not None and pack.shape[0] != channels):
        raise ConfigError(
            f"The pack '{pack.folder}' holds samples of shape {pack.shape}, which data.size = {size} and data.channels = "
            f"{channels} cannot change: leave them out, or train from the source files"
        )
    return pack


def _there(folder: Path, settings: dict[str, Any]) -> Pack | None:
    """A sound pack in `folder` that was made with the same settings."""
    try:
        pack = Pack.open(folder)
    except DataError:
        return None
    return pack if pack.manifest["settings"] == settings else None


def _statistics(pack: Pack, modality: Modality) -> tuple[float, float]:
    values = modality.decode(pack[pack.spread(STATISTICS)][0]).double()
    values = values[~values.isnan()] if pack.missing else values
    if not bool(values.isfinite().all()) or not len(values):
        raise DataError(f"The data in '{pack.folder}' holds values that are not numbers")
    std = float(values.std())
    if std == 0:
        raise DataError("All samples are one constant value: there is nothing to learn")
    return float(values.mean()), std
