"""Sounds from any source, brought to one rate, number of channels and length. What cannot be read is rejected."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record, Rejection
from pellucid.core.optional import optional
from pellucid.sources.entry import Entry
from pellucid.sources.find import find
from pellucid.sources.refused import RefusedError, reason
from pellucid.sources.source import Source

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64")
KINDS = "wav, flac, ogg, opus, mp3, aiff, au"
FASTEST = 16_000
"""Hz at which sounds are read whose own rate is higher, unless another is asked for."""
LONGEST, GRAIN = 16_384, 256
"""Samples of a window that nobody asked for, at most, and of which it is a multiple."""
KEPT = 0.5
"""Share of a window from which the rest of a longer sound is one, filled up with silence."""
BLOCK = 1 << 18
FULL = 32_768

Waves = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What every sound is brought to.

    Arguments:
        rate: in Hz.
        channels: 1 or 2.
        length: samples of a window.
        common: folders that all sounds of all archives lie in, 0 or 1, which are therefore no label.
        notes: sentences for the user.
    """

    rate: int
    channels: int
    length: int
    common: int
    notes: tuple[str, ...]

    @classmethod
    def of(cls, path: Path, rate: int, channels: int | None, length: int | None) -> "Plan":
        """From the headers of all sounds in `path`.

        Raises:
            DataError: there is none that can be read.
        """
        seen, first = _Seen(), None
        for source in find(path):
            for entry in source.entries() if isinstance(source, Source) else [source]:
                rejected = entry if isinstance(entry, Rejection) else seen.look(entry)
                first = first or rejected
        if not seen.rates:
            raise nothing(path, first)
        if channels not in (None, 1, 2):
            raise ConfigError(f"channels = {channels}: expected 1, mono, or 2, stereo")
        usual = seen.rates.most_common(1)[0][0]
        rate = rate or min(usual, FASTEST)
        longest = max(GRAIN, min(LONGEST, -int(-seen.seconds * rate // GRAIN) * GRAIN))
        plan = cls(rate=rate, channels=channels or 1, length=length or longest, common=seen.common, notes=())
        return cls(**{**vars(plan), "notes": tuple(plan.told(seen))})

    def told(self, seen: "_Seen") -> Iterator[str]:
        kind = "mono" if self.channels == 1 else "stereo"
        yield f"sounds are {self.length:,} samples at {self.rate:,} Hz, {self.length / self.rate:.2f} s, {kind}"
        if others := seen.rates.total() - seen.rates[self.rate]:
            yield f"{others:,} of another rate are resampled"
        if mixed := sum(count for channels, count in seen.channels.items() if channels > self.channels):
            yield f"{mixed:,} of more channels are mixed down" + " (data.channels=2 keeps stereo)" * (self.channels == 1)

    def label(self, entry: Entry, source: Source) -> str | None:
        """What the entry says, else the folder in the archive, else the folder in which the archive lies."""
        inner = entry.folders[self.common] if len(entry.folders) > self.common else None
        return entry.label or inner or source.label


@dataclass
class _Seen:
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    tops: set[str | None] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def common(self) -> int:
        return int(len(self.tops) == 1 and None not in self.tops)

    def look(self, entry: Entry) -> Rejection | None:
        """Take note of a sound, or say why not, as reading it will say again."""
        try:
            with open_sound(entry) as sound:
                self.rates[sound.samplerate] += 1
                self.channels[sound.channels] += 1
                self.seconds = max(self.seconds, sound.frames / sound.samplerate)
        except Exception as error:  # decoders of damaged files raise whatever they come upon
            return Rejection(source=entry.name, reason=why(error))
        self.tops.add(entry.folders[0] if entry.folders else None)
        return None


def read_sounds(
    path: Path, *, rate: int, size: int | None, channels: int | None, labels: bool, column: str | None = None
) -> Iterator[Record]:
    """Windows of the sounds in a folder of sounds, archives and tables, or of those in the one file that `path` names.

    Raises:
        DataError: not one of them can be read.
    """
    plan = Plan.of(path, rate, channels, size)
    notes, first = plan.notes, None
    for source in find(path, column):
        if isinstance(source, Rejection):
            first = first or source
            yield source
            continue
        made, found = 0, dict[str, None]()
        for entry in source.entries():
            for record in [entry] if isinstance(entry, Rejection) else _windows(entry, source, plan, labels, found):
                made += isinstance(record, Item)
                first = first or (record if isinstance(record, Rejection) else None)
                yield record
        if made:
            yield from _origins(source, (*notes, *found), plan)
            notes = ()
    if notes:
        raise nothing(path, first)


def _windows(
    entry: Entry, source: Source, plan: Plan, labels: bool, notes: dict[str, None]
) -> Iterator[Item | Rejection]:
    """A sound that is damaged in the middle ends there, and says so."""
    label = plan.label(entry, source) if labels else None
    number, rest = 0, np.zeros((plan.channels, 0), np.float32)
    try:
        for block in waves(entry, plan.rate, plan.channels, notes):
            rest = np.concatenate([rest, block], 1)
            while rest.shape[1] >= plan.length:
                yield _item(entry, number, rest[:, : plan.length], label)
                number, rest = number + 1, rest[:, plan.length :]
        if rest.shape[1] and (not number or rest.shape[1] >= KEPT * plan.length):
            short = np.pad(rest, ((0, 0), (0, plan.length - rest.shape[1])))
            yield _item(entry, number, short, label)
            notes |= {"shorter ones end in silence": None}
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        yield Rejection(source=entry.name, reason=why(error))


def _item(entry: Entry, number: int, wave: Waves, label: str | None) -> Item:
    return Item(source=f"{entry.name}#{number + 1}", data=as_stored(wave), label=label, captions=entry.captions)


def _origins(source: Source, notes: tuple[str, ...], plan: Plan) -> Iterator[Origin | Rejection]:
    for path in source.files():
        name = source.name if path == source.path else path.name
        try:
            size, digest = path.stat().st_size, sha256(path)
            yield Origin(source=name, size=size, sha256=digest, notes=notes, details={"rate": plan.rate})
        except OSError as error:  # gone since
            yield Rejection(source=name, reason=reason(error))
        notes = ()


@contextmanager
def open_sound(entry: Entry) -> Iterator[Any]:
    """A `soundfile.SoundFile`, its header read."""
    soundfile = optional("soundfile", "Sound", "sound")
    if entry.suffix not in (*SUFFIXES, None):
        raise RefusedError(f"its name does not end like a sound's ({KINDS})")
    with entry.open() as stream:
        if not stream.read(1):
            raise RefusedError("an empty file")
        stream.seek(0)
        with soundfile.SoundFile(stream) as sound:
            if sound.frames < 1:
                raise RefusedError("a sound without a single sample")
            yield sound


def waves(entry: Entry, rate: int, channels: int, notes: dict[str, None]) -> Iterator[Waves]:
    """A sound block by block, (channels, T) in [-1, 1] at this rate."""
    loudest = _loudest(entry)
    if loudest > 1:
        notes |= {"some are louder than full scale: made quieter as a whole": None}
    with open_sound(entry) as sound:
        resampler = None
        if sound.samplerate != rate:
            soxr = optional("soxr", "Sound of another rate", "sound")
            resampler = soxr.ResampleStream(sound.samplerate, rate, channels, dtype="float32")
        left = sound.frames
        while left > 0:
            block = sound.read(min(BLOCK, left), dtype="float32", always_2d=True)
            left -= len(block)
            if not len(block):
                raise RefusedError("damaged: it ends before its header says")
            mixed = _mixed(block, channels) / max(1.0, loudest)
            if resampler is not None:
                mixed = resampler.resample_chunk(mixed, last=left <= 0).reshape(-1, channels)
            yield np.ascontiguousarray(mixed.T)


def _mixed(block: Waves, channels: int) -> Waves:
    """(T, C) to (T, channels): the mean of all, or one for both sides."""
    if block.shape[1] == channels:
        return block
    mean = block.mean(1, keepdims=True, dtype=np.float32)
    return np.asarray(block[:, :2] if channels == 2 and block.shape[1] > 2 else np.repeat(mean, channels, 1))


def _loudest(entry: Entry) -> float:
    """The largest size of a value where a file could exceed 1."""
    with open_sound(entry) as sound:
        if sound.subtype not in ("FLOAT", "DOUBLE"):
            return 1.0
        loudest = 0.0
        for block in sound.blocks(BLOCK, dtype="float32", always_2d=True):
            if not np.isfinite(block).all():
                raise RefusedError("it holds values that are no numbers")
            loudest = max(loudest, float(np.abs(block).max()))
        return loudest


def as_stored(wave: NDArray[Any]) -> NDArray[np.int16]:
    """[-1, 1] as 16 bits; a wave that exceeds them is made quieter as a whole, so that none is clipped."""
    peak = np.abs(wave).max(axis=(-2, -1), keepdims=True)
    return np.asarray(np.clip(np.rint(wave / np.maximum(peak, 1.0) * FULL), -FULL, FULL - 1).astype(np.int16))


def why(error: Exception) -> str:
    """Why a sound was rejected, in words for the user."""
    if type(error).__name__ == "LibsndfileError":
        return f"not a sound, whatever its name says, or damaged ({str(error).rsplit(': ', 1)[-1].rstrip('.')})"
    return reason(error)


def nothing(path: Path, example: Rejection | None) -> DataError:
    """The error for a data set without a sound."""
    told = f"For example '{example.source}': {example.reason}." if example else "It is empty."
    return DataError(f"'{path}' holds no sound that can be read ({KINDS}; in folders, zip, tar, parquet). {told}")
