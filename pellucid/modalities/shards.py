"""Pictures in shards, each read by itself: what all are brought to is settled by a look at a few of them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Self

import numpy as np

from pellucid.core.items import Record
from pellucid.modalities.array_picture import ArrayPicture
from pellucid.modalities.canvas import Canvas, Size
from pellucid.modalities.file_picture import FilePicture
from pellucid.modalities.levels import Levels
from pellucid.modalities.pictures import Reading
from pellucid.modalities.survey import Survey
from pellucid.sources.find import kind_of
from pellucid.sources.source import Source
from pellucid.sources.store import fetched, is_url

SURVEYED = 4
"""Shards, spread over the list, whose pictures decide size, channels and levels."""
KINDS = {kind.__name__: kind for kind in (FilePicture, ArrayPicture)}


@dataclass(frozen=True, kw_only=True)
class PictureShards:
    """The pictures of shards `places`, read as `survey` says; captions are those of `column`."""

    places: Sequence[str]
    survey: Survey
    column: str | None = None

    @classmethod
    def of(cls, places: Sequence[str], *, size: Size, channels: int | None, column: str | None = None) -> Self:
        """By a look at some of the shards.

        Raises:
            UserError: no picture in them, or see `fetched`.
        """
        which = np.unique(np.linspace(0, len(places) - 1, min(SURVEYED, len(places))).astype(int))

        def sources() -> Iterator[Source]:
            for place in which.tolist():
                with fetched(places[place]) as path:
                    yield _source(places[place], path, column)

        return cls(places=places, survey=Survey.of(sources(), places[0], size, channels), column=column)

    @classmethod
    def again(cls, places: Sequence[str], facts: Mapping[str, Any], column: str | None = None) -> Self:
        """As `facts` of another time say."""
        canvas = dict(facts["canvas"])
        levels = Levels(known={name: (low, high) for name, (low, high) in canvas.pop("levels")["known"].items()})
        survey = Survey(canvas=Canvas(**canvas, levels=levels), kind=KINDS[facts["kind"]], common=facts["common"], notes=())
        return cls(places=places, survey=survey, column=column)

    @property
    def facts(self) -> dict[str, Any]:
        """What was settled, as JSON holds it."""
        survey = self.survey
        return {"canvas": asdict(survey.canvas), "kind": survey.kind.__name__, "common": survey.common}

    def records(self, number: int, *, origins: bool = False) -> Iterator[Record]:
        """Everything in one shard; with `origins` that of the shard itself."""
        place = self.places[number]
        with ExitStack() as stack:
            source = _source(place, stack.enter_context(fetched(place)), self.column)
            reading = Reading(self.survey, True, self.survey.notes if number == 0 else ())
            yield from reading.records(source) if origins else reading.items(source)


def named(place: str) -> str:
    """A shard without its folder, or what an address asks of a server."""
    return PurePosixPath(place.partition("?")[0] if is_url(place) else place).name


def _source(place: str, path: Path, column: str | None) -> Source:
    return kind_of(path)(path=path, name=named(place), column=column)
