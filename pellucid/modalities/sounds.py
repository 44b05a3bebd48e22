"""Sounds from any source, brought to one rate, number of channels and length. What cannot be read is rejected."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import ConfigError, DataError
from pellucid.core.items import Item, Record, Rejection
from pellucid.core.optional import optional
from pellucid.modalities.recordings import read_windows, survey
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError, reason

SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".w64")
KINDS = "wav, flac, ogg, opus, mp3, aiff, au"
FASTEST = 16_000
"""Hz at which sounds are read whose own rate is higher, unless another is asked for."""
LONGEST, GRAIN = 16_384, 256
"""Samples of a window that nobody asked for, at most, and of which it is a multiple."""
KEPT = 0.5
"""Share of a window from which the rest of a longer sound is one, filled up with silence."""
BLOCK = 1 << 18
"""Samples at a time, before and after resampling."""
FULL = 32_768
SLOWEST_READ, FASTEST_READ = 1_000, 768_000
"""Hz between which a sound's own rate lies; a model's is 1,000 at least."""

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
        seen = _Seen()
        common, first = survey(path, seen.look, why)
        if not seen.rates:
            raise nothing(path, first)
        if channels not in (None, 1, 2):
            raise ConfigError(f"channels = {channels}: expected 1, mono, or 2, stereo")
        usual = seen.rates.most_common(1)[0][0]
        rate = rate or min(usual, FASTEST)
        longest = max(GRAIN, min(LONGEST, -int(-seen.seconds * rate // GRAIN) * GRAIN))
        plan = cls(rate=rate, channels=channels or 1, length=length or longest, common=common, notes=())
        return cls(**{**vars(plan), "notes": tuple(plan.told(seen))})

    def told(self, seen: "_Seen") -> Iterator[str]:
        kind = "mono" if self.channels == 1 else "stereo"
        yield f"sounds are {self.length:,} samples at {self.rate:,} Hz, {self.length / self.rate:.2f} s, {kind}"
        if others := seen.rates.total() - seen.rates[self.rate]:
            yield f"{others:,} of another rate are resampled"
        if mixed := sum(count for channels, count in seen.channels.items() if channels > self.channels):
            yield f"{mixed:,} of more channels are mixed down" + " (data.channels=2 keeps stereo)" * (self.channels == 1)


@dataclass
class _Seen:
    rates: Counter[int] = field(default_factory=Counter)
    channels: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def look(self, entry: Entry) -> None:
        """Take note of a sound."""
        with open_sound(entry) as sound:
            self.rates[sound.samplerate] += 1
            self.channels[sound.channels] += 1
            self.seconds = max(self.seconds, sound.frames / sound.samplerate)


def read_sounds(
    path: Path, *, rate: int, size: int | None, channels: int | None, labels: bool, column: str | None = None
) -> Iterator[Record]:
    """Windows of the sounds in a folder of sounds, archives and tables, or of those in the one file that `path` names.

    Raises:
        DataError: not one of them can be read.
    """
    plan = Plan.of(path, rate, channels, size)
    yield from read_windows(
        path, partial(_windows, plan), column=column, labels=labels, common=plan.common, notes=plan.notes,
        details={"rate": plan.rate}, why=why, nothing=nothing,
    )  # fmt: skip


def _windows(plan: Plan, entry: Entry, label: str | None, notes: dict[str, None]) -> Iterator[Item]:
    number, rest = 0, np.zeros((plan.channels, 0), np.float32)
    for block in waves(entry, plan.rate, plan.channels, notes):
        rest = np.concatenate([rest, block], 1)
        while rest.shape[1] >= plan.length:
            yield _item(entry, number, rest[:, : plan.length], label)
            number, rest = number + 1, rest[:, plan.length :]
    if rest.shape[1] and (not number or rest.shape[1] >= KEPT * plan.length):
        short = np.pad(rest, ((0, 0), (0, plan.length - rest.shape[1])))
        yield _item(entry, number, short, label)
        notes |= {"shorter ones end in silence": None}


def _item(entry: Entry, number: int, wave: Waves, label: str | None) -> Item:
    return Item(source=f"{entry.name}#{number + 1}", data=as_stored(wave), label=label, captions=entry.captions)


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
            if not SLOWEST_READ <= sound.samplerate <= FASTEST_READ:
                expected = f"expected {SLOWEST_READ:,} to {FASTEST_READ:,}"
                raise RefusedError(f"a rate of {sound.samplerate:,} Hz; {expected}: damaged, or measurements, which are "
                                   "read from a table (CSV)")
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
        left, step = sound.frames, _step(sound, rate)
        while left > 0:
            block = sound.read(min(step, left), dtype="float32", always_2d=True)
            left -= len(block)
            if not len(block):
                raise RefusedError("damaged: it ends before its header says")
            mixed = _mixed(block, channels) / max(1.0, loudest)
            if resampler is not None:
                mixed = resampler.resample_chunk(mixed, last=left <= 0).reshape(-1, channels)
            yield np.ascontiguousarray(mixed.T)


def _step(sound: Any, rate: int) -> int:
    """Samples to be read at a time, so that neither many channels nor a high rate make more of them than a few blocks."""
    own, channels = int(sound.samplerate), int(sound.channels)
    return max(1, BLOCK * min(rate, own) // rate * 2 // max(2, channels))


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
        for block in sound.blocks(_step(sound, sound.samplerate), dtype="float32", always_2d=True):
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
