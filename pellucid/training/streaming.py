"""From a pattern of shards to a stream of samples: indexed once, and opened again by its index from then on."""

from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from pellucid.core.errors import ConfigError, DataError, UnsupportedError
from pellucid.core.items import Item, Record
from pellucid.data.hashing import fingerprint
from pellucid.data.index import current_index, write_index
from pellucid.data.stream import Stream
from pellucid.modalities.shards import PictureShards, named
from pellucid.model.config import Section
from pellucid.sources.shards import is_pattern, shards
from pellucid.training.config import RunConfig

Tell = Callable[[str, str], None]

EVERY = 10.0
"""Seconds between two words on how far the index is."""


def check_streamed(kind: Section) -> None:
    """Refuse what is not streamed.

    Raises:
        UnsupportedError: another kind of data than pictures.
    """
    if kind["name"] != "image":
        raise UnsupportedError(f"data.stream reads pictures, not yet modality.name = {kind['name']}: leave it out, and the "
                               f"data is packed into the run's folder")  # fmt: skip


def check_packed(path: Path) -> None:
    """Refuse what can be read by streaming alone.

    Raises:
        ConfigError: an address, or a pattern of names that is no file's.
    """
    if is_pattern(path) and not path.exists():
        raise ConfigError(f"'{path}' names shards, which are read as a stream: add --set data.stream=true")


def streamed(config: RunConfig, look: Path, *, started: bool, tell: Tell) -> Stream:
    """The stream of `config.data`, by the index that is there if it is still current, else by one that is made now.

    Arguments:
        look: where a sample of all samples is packed; the index lies beside it.
        started: a run has trained by the index that is there.
        tell: shows a line under a name.

    Raises:
        UserError: shards that are not there or cannot be read, no picture in them, too little memory.
    """
    own, folder = config.data, look.with_name("stream")
    settings: dict[str, Any] = own.model_dump(mode="json", include={"size", "channels"})
    settings |= {} if own.column is None else {"column": own.column}
    places = shards(own.path)
    marks = fingerprint(map(Path, places))
    stream = current_index(folder, look, settings, None if started else marks)
    if stream is not None:
        _check_same(stream, places)
        known = PictureShards.again(places, stream.manifest["settings"]["survey"], own.column)
    else:
        known = PictureShards.of(places, size=own.size, channels=own.channels, column=own.column)
        passes = _told(known, tell)
        stream = write_index(passes, folder, look, settings={**settings, "survey": known.facts}, fingerprint=marks)
    stream.connect(known.records, own.memory)
    return stream


def _check_same(stream: Stream, places: list[str]) -> None:
    """Shards may have moved together, but are the same ones."""
    was, now = [shard.name for shard in stream.shards], [named(place) for place in places]
    if was != now:
        gone, new = sorted(set(was) - set(now)), sorted(set(now) - set(was))
        what = f"'{gone[0]}' is gone" if gone else f"'{new[0]}' is new" if new else "their order is another"
        raise DataError(f"The shards are not those that this run has indexed: {what}. Name the {len(was)} that it was "
                        "started with, in their order, or start a new run in another folder")  # fmt: skip


def _told(known: PictureShards, tell: Tell) -> Iterator[tuple[str, Iterator[Record]]]:
    """All shards, with a word now and then on how far reading them is."""
    began = said = perf_counter()
    count, total = 0, len(known.places)

    def counted(number: int) -> Iterator[Record]:
        nonlocal count
        for record in known.records(number, origins=True):
            count += isinstance(record, Item)
            yield record

    for number, place in enumerate(known.places):
        yield named(place), counted(number)
        if (now := perf_counter()) - said > EVERY:
            said = now
            left = (now - began) / (number + 1) * (total - number - 1)
            tell("index", f"{number + 1:,} of {total:,} shards, {count:,} samples; about {left / 60:.0f} min left")
    seconds = max(perf_counter() - began, 1e-9)
    tell("index", f"{total:,} shards, {count:,} samples, read once in {seconds:.0f} s ({count / seconds:,.0f} a second)")
