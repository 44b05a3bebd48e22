"""Films from any source, brought to one rate, size and length. What cannot be read is rejected with its reason."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.items import Item, Record, Rejection
from pellucid.modalities.canvas import MODES, Canvas, Size, on_white
from pellucid.modalities.film import KINDS, open_film, why
from pellucid.modalities.recordings import read_windows, survey
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError

FASTEST = 15
"""Frames per second up to which every frame is taken, unless another rate is asked for; of faster films every second, every
third, and so on.
"""
SIDE = 32
"""The longer side of pictures, where they are larger and nobody asked for another."""
KEPT = 0.5
"""Share of a window from which the rest of a longer film is one, and a shorter film, whose last frame is held."""

Frame = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every film is brought to.

    Arguments:
        canvas: of each frame.
        rate: frames per second.
        length: frames of a window.
        stride: frames between the beginnings of windows.
        common: folders that all films of all archives lie in, 0 or 1, which are therefore no label.
        notes: sentences for the user.
    """

    canvas: Canvas
    rate: float
    length: int
    stride: int
    common: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, rate: float, length: int, stride: int, size: Size, channels: int | None) -> "Plan":
        """From the headers of all films in `path`.

        Raises:
            DataError: there is none that can be read.
        """
        seen = _Seen()
        common, first = survey(path, seen.look, why)
        if not seen.rates:
            raise nothing(path, first)
        if channels not in (None, *MODES):
            raise ConfigError(f"channels = {channels}: expected 1, grey, 3, colours, or 4, to keep transparency")
        usual = seen.rates.most_common(1)[0][0]
        rate = rate or round(usual / ceil(usual / FASTEST), 3)
        larger = max(map(max, seen.sizes)) > SIDE
        canvas, told = Canvas.choose(seen.sizes, channels or 3, SIDE if size is None and larger else size)
        notes = [f"films are {length} frames at {rate:g} a second, {length / rate:.2f} s", told]
        if others := sum(count for one, count in seen.rates.items() if abs(one - rate) > 0.01 * rate):
            notes.append(f"{others:,} of another rate: of each moment the frame that is shown then")
        return cls(
            canvas=canvas, rate=rate, length=length, stride=stride or length, common=common, notes=tuple(notes)
        )


@dataclass
class _Seen:
    sizes: Counter[tuple[int, int]] = field(default_factory=Counter)
    rates: Counter[float] = field(default_factory=Counter)

    def look(self, entry: Entry) -> None:
        """Take note of a film."""
        with open_film(entry) as film:
            self.sizes[film.size] += 1
            self.rates[round(film.rate, 2)] += 1


def read_films(
    path: Path, *, rate: float, length: int, stride: int, size: Size, channels: int | None, labels: bool,
    column: str | None = None,
) -> Iterator[Record]:  # fmt: skip
    """Windows of the films in a folder of films, archives and tables, or of those in the one file that `path` names.

    Raises:
        DataError: not one of them can be read.
    """
    plan = Plan.of(path, rate, length, stride, size, channels)
    yield from read_windows(
        path, partial(_windows, plan), column=column, labels=labels, common=plan.common, notes=plan.notes,
        details={"rate": plan.rate}, why=why, nothing=nothing,
    )  # fmt: skip


def frames(entry: Entry, canvas: Canvas, rate: float) -> Iterator[Frame]:
    """Frames (C, H, W), `rate` of them a second: of each moment the one that is shown then, the first at the beginning."""
    with open_film(entry) as film:
        began, shown = Fraction(0), 0
        step = 1 / Fraction(rate).limit_denominator(10_000)
        for length, picture in film.frames():
            ends, data = began + length, None
            while shown * step < ends - step / 100:
                if data is None:
                    data = canvas.of_picture(picture if canvas.channels == 4 else on_white(picture))
                yield data
                shown += 1
            began = ends


def _windows(plan: Plan, entry: Entry, label: str | None, notes: dict[str, None]) -> Iterator[Item]:
    number, held, fresh = 0, list[Frame](), 0
    for frame in frames(entry, plan.canvas, plan.rate):
        held, fresh = [*held[-plan.length + 1 :], frame], fresh + 1
        if fresh == (plan.stride if number else plan.length):
            yield _item(entry, number, held, label)
            number, fresh = number + 1, 0
    if number and fresh >= KEPT * min(plan.stride, plan.length):
        yield _item(entry, number, held, label)
        notes |= {"the last window of a film ends with it": None}
    elif not number and fresh < max(2, KEPT * plan.length):
        few = "one frame" if fresh == 1 else f"{fresh} frames"
        raise RefusedError(f"{few} at {plan.rate:g} a second, expected {plan.length} or half as many (modality.frames, "
                           "modality.rate)")  # fmt: skip
    elif not number:
        yield _item(entry, number, [*held, *held[-1:] * (plan.length - fresh)], label)
        notes |= {"shorter ones hold their last frame": None}


def _item(entry: Entry, number: int, held: list[Frame], label: str | None) -> Item:
    data = np.stack(held, axis=1)
    return Item(source=f"{entry.name}#{number + 1}", data=data, label=label, captions=entry.captions)


def nothing(path: Path, example: Rejection | None) -> DataError:
    """The error for a data set without a film."""
    told = f"For example '{example.source}': {example.reason}." if example else "It is empty."
    return DataError(f"'{path}' holds no film that can be read ({KINDS}; in folders, zip, tar, parquet). {told}")
