"""Scans from any source, brought to one size and kind of numbers. What cannot be read is rejected with its reason."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.items import Item, Record, Rejection
from pellucid.modalities.counts import Counts, Limits, Rescale
from pellucid.modalities.open_scan import KINDS, open_scan, why
from pellucid.modalities.recordings import read_windows, survey
from pellucid.modalities.scanned import Triple
from pellucid.modalities.stack import Slice, Stack
from pellucid.modalities.voxels import Sides, choose, resampled
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError

LETTERS, MANY = 3, 5
"""Of a part of a patient's name that is looked for among the words in names of folders, and anywhere in them."""
BETWEEN = re.compile(r"[\W_]+")
"""What stands between words."""
ALIKE = 0.01
"""Share by which spacings may differ and be called one."""


ROUNDED = "some are rounded to the steps in which the others are stored"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked of all scans: what the data decides is None.

    Arguments:
        volume: whether samples are volumes, not slices.
        counts: what numbers of samples stand for.
        inverted: whether low values are shown bright.
        window: centre and width of the values that matter.
    """

    size: int | Sides | None = None
    volume: bool | None = None
    counts: Counts | None = None
    inverted: bool | None = None
    window: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every scan is brought to.

    Arguments:
        sides: (height, width), or (depth, height, width) of volumes.
        spacing: of most samples, (depth, height, width) in millimetres.
        labelled: whether folders may be labels: not where they are named after patients.
        stacks: of slices in files of their own, by the names of these files.
        common: folders that all scans of all archives lie in, 0 or 1, which are therefore no label.
        notes: sentences for the user.
    """

    counts: Counts
    sides: Sides
    spacing: Triple
    window: tuple[float, float] | None
    inverted: bool
    labelled: bool
    stacks: dict[str, Stack]
    common: int
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, path: Path, wish: Wish) -> "Plan":
        """From the headers of all scans in `path`.

        Raises:
            DataError: there is none that can be read.
        """
        seen = _Seen()
        common, first = survey(path, seen.look, why)
        if not seen.rescales:
            raise nothing(path, first)
        volume = seen.volume(wish)
        stacks = [Stack.of(slices) for slices in seen.slices.values()] if volume else []
        shapes = seen.shapes(stacks) if volume else seen.flat
        if not shapes:
            raise nothing(path, next((Rejection(source=stack.names[0], reason=stack.fault) for stack in stacks), None))
        sides = choose(Counter(shape for shape, _ in shapes.elements()), wish.size)
        window = seen.window() if wish.window is None else wish.window
        plan = cls(
            counts=wish.counts or Counts.choose(seen.rescales), sides=sides, spacing=_usual(shapes, sides), window=window,
            inverted=seen.inverted.most_common(1)[0][0] if wish.inverted is None else wish.inverted,
            labelled=not seen.named, stacks={name: stack for stack in stacks for name in stack.names}, common=common,
        )  # fmt: skip
        return replace(plan, notes=tuple(plan.told(shapes, asked=wish.window is not None)))

    @property
    def volume(self) -> bool:
        return len(self.sides) == 3

    @property
    def details(self) -> dict[str, Any]:
        """What the modality learns of them; nothing else of any header is kept."""
        found = {**vars(self.counts), "spacing": list(self.spacing), "inverted": self.inverted, "volume": self.volume}
        return found if self.window is None else {**found, "window": list(self.window)}

    def told(self, shapes: "Counter[_Shape]", *, asked: bool) -> Iterator[str]:
        kind, sides = "volumes" if self.volume else "slices", " x ".join(map(str, self.sides))
        spacing = " x ".join(f"{length:.3g}" for length in self.spacing[-len(self.sides) :])
        came = sorted({shape for shape, _ in shapes})
        if came == [self.sides]:
            yield f"{kind} are {sides}, {spacing} mm apart"
        else:
            all_came = " to ".join(dict.fromkeys(" x ".join(map(str, one)) for one in (came[0], came[-1])))
            yield f"{kind} of {all_came} are resampled to {sides}, all that they show, {spacing} mm apart"
        each = [_spacing(one, self.sides) for one in shapes.elements()]
        if others := sum(not np.allclose(one, self.spacing[-len(one) :], rtol=ALIKE) for one in each):
            yield f"{others:,} of another spacing, which is not kept"
        if self.counts.numbers == "float32":
            yield "values are kept as floating-point numbers of 32 bits"
        if self.window is None:
            yield "no window in most files: it will hold 99% of all values, all but 0.5% at each end"
        else:
            centre, width = self.window
            whose = "the one asked for" if asked else "the middle one of the files' own"
            yield f"the window is {centre:g} - {width / 2:g} to {centre:g} + {width / 2:g}, {whose}"
        yield "values beyond the window are compressed for the model, none is cut off"
        if not self.labelled:
            yield "folders are named after patients: they are no labels"


_Shape = tuple[Sides, tuple[float, ...]]
"""Sides and the spacings along them."""


@dataclass
class _Seen:
    """`flat`: of slices; `solid`: of volumes in one file; both count samples."""

    flat: Counter[_Shape] = field(default_factory=Counter)
    solid: Counter[_Shape] = field(default_factory=Counter)
    rescales: Counter[tuple[Rescale, Limits | None]] = field(default_factory=Counter)
    inverted: Counter[bool] = field(default_factory=Counter)
    windows: list[tuple[float, float]] = field(default_factory=list)
    slices: dict[tuple[Any, ...], list[Slice]] = field(default_factory=dict)
    files: Counter[bool] = field(default_factory=Counter)
    named: bool = False

    def look(self, entry: Entry) -> None:
        """Take note of a scan."""
        with open_scan(entry) as scan:
            times, depth, *sides = scan.shape
            self.flat[tuple(sides), scan.spacing[1:]] += times * depth
            self.files[depth > 1] += 1
            if depth > 1:
                self.solid[(depth, *sides), scan.spacing] += times
            else:
                place = Slice(entry.name, scan.place, scan.measured, scan.spacing)
                series, *alike = scan.stack or (entry.name,)
                folder = str(PurePosixPath(entry.name).parent)  # stands for a series without a name
                self.slices.setdefault((series or folder, *alike), []).append(place)
            self.rescales[(scan.slope, scan.intercept), scan.limits] += 1
            self.inverted[scan.inverted] += 1
            self.windows += [] if scan.window is None else [scan.window]
            self.named = self.named or _names_a_person(entry, scan.people)

    def volume(self, wish: Wish) -> bool:
        """As asked for, else as the size has sides, else what most files hold."""
        if wish.volume is None and isinstance(wish.size, tuple):
            return len(wish.size) == 3
        return self.files[True] >= self.files[False] if wish.volume is None else wish.volume

    def shapes(self, stacks: list[Stack]) -> Counter[_Shape]:
        """Of all volumes, with those whose slices lie in files of their own."""
        sides = {one.name: key[1:3] for key, slices in self.slices.items() for one in slices if len(key) > 2}
        whole = [stack for stack in stacks if not stack.fault]
        return self.solid + Counter(((len(stack.names), *sides[stack.names[0]]), stack.spacing) for stack in whole)

    def window(self) -> tuple[float, float] | None:
        """The medians of centres and of widths, if most files have them."""
        if 2 * len(self.windows) <= self.files.total():
            return None
        centre, width = np.median(np.array(self.windows), axis=0)
        return float(centre), float(width)


def _names_a_person(entry: Entry, people: tuple[str, ...]) -> bool:
    """Whether a folder of the entry has a name in it by which the file calls the patient."""
    folders = [part.lower() for part in (*PurePosixPath(entry.name).parts[:-1], *entry.folders)]
    own = {word for folder in folders for word in BETWEEN.split(folder)}
    words = {word for name in people for word in BETWEEN.split(name.lower()) if len(word) >= LETTERS or not word.isascii()}
    together = [BETWEEN.sub("", folder) for folder in folders]
    return bool(words & own) or any(len(word) >= MANY and word in folder for word in words for folder in together)


def _spacing(shape: _Shape, sides: Sides) -> tuple[float, ...]:
    """That of the samples made of scans of this shape."""
    old, spacing = shape
    return tuple(length * before / after for length, before, after in zip(spacing, old, sides, strict=True))


def _usual(shapes: Counter[_Shape], sides: Sides) -> Triple:
    """The median; slices have no depth, and a spacing of 1 there."""
    median = np.median([_spacing(one, sides) for one in shapes.elements()], axis=0)
    depth, height, width = [1.0] * (3 - len(sides)) + [round(float(length), 6) for length in median]
    return depth, height, width


def read_scans(
    path: Path, wish: Wish, *, channels: int | None, labels: bool, column: str | None = None
) -> Iterator[Record]:
    """The slices or volumes in a folder of scans and archives, or those in the one file that `path` names.

    Raises:
        DataError: not one of them can be read.
    """
    if channels not in (None, 1):
        raise ConfigError(f"channels = {channels}: scans have 1, their grey values")
    plan = Plan.of(path, wish)
    yield from read_windows(
        path, partial(_samples, plan), column=column, labels=labels and plan.labelled, common=plan.common,
        notes=plan.notes, details=plan.details, why=why, nothing=nothing,
    )  # fmt: skip


def _samples(plan: Plan, entry: Entry, label: str | None, notes: dict[str, None]) -> Iterator[Item | None]:
    """Those of one file; None for a slice whose volume is made later."""
    stack = plan.stacks.get(entry.name)
    if stack is not None:
        stack.check()
    try:
        with open_scan(entry) as scan:
            if scan.inverted != plan.inverted:
                raise RefusedError(f"low values are shown {'bright' if scan.inverted else 'dark'} in it, in most others not")
            if plan.volume and scan.shape[1] == 1 and stack is None:
                raise RefusedError("a single slice, where volumes are read (modality.volume = false reads slices)")
            numbers = plan.counts.of(scan.load(), scan)
            notes |= {} if plan.counts.keeps(scan) else {ROUNDED: None}
    except Exception as error:
        raise stack.lose(entry.name, why(error)) if stack else error from None
    if stack is None:
        yield from _made(plan, entry, numbers if plan.volume else numbers.reshape(-1, *numbers.shape[2:]), label, notes)
        return
    volume = stack.add(entry.name, resampled(numbers[0, 0], plan.sides[1:]))
    if volume is None:
        yield None
    else:
        yield from _made(plan, entry, volume[None], label, notes)


def _made(
    plan: Plan, entry: Entry, numbers: NDArray[Any], label: str | None, notes: dict[str, None]
) -> Iterator[Item]:
    """An item for each of the samples (N, *space)."""
    several = len(numbers) > 1
    flat = [one.min() == one.max() for one in numbers]
    if all(flat):
        raise RefusedError(f"every value is {plan.counts.value(numbers[0].flat[0]):g}: there is nothing in it")
    if any(flat):
        notes |= {f"{'volumes' if plan.volume else 'slices'} of one value throughout are left out": None}
    for number, (one, empty) in enumerate(zip(numbers, flat, strict=True), 1):
        if not empty:
            name = f"{entry.name}#{number}" if several else entry.name
            data = plan.counts.stored(resampled(one, plan.sides))[None]
            yield Item(source=name, data=data, label=label, captions=entry.captions)


def nothing(path: Path, example: Rejection | None) -> DataError:
    """The error for a data set without a scan."""
    told = f"For example '{example.source}': {example.reason}." if example else "It is empty."
    return DataError(f"'{path}' holds no scan that can be read ({KINDS}; in folders, zip, tar). {told}")
