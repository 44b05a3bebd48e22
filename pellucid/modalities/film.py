"""One film as a stream of frames and the times at which they are shown: containers by PyAV, animated pictures by Pillow."""

import logging
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import IO, Any

from PIL import Image, UnidentifiedImageError

from pellucid.core.optional import optional
from pellucid.sources.entry import Entry
from pellucid.sources.refused import RefusedError, reason

CONTAINERS = (".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".mpg", ".mpeg")
ANIMATED = (".gif", ".webp", ".png", ".apng")
FORMATS = ("GIF", "WEBP", "PNG")
KINDS = "mp4, mov, webm, mkv, avi, and gif, webp, png that move"
STANDARD = 100
"""Milliseconds for which a frame is shown whose file says nothing, or less than `SHORTEST`, as browsers do."""
SHORTEST = 11
LOOKED_AT, ALIKE = 16, 0.15
"""Frames from which an animation's rate is taken: the mean of those durations that are within so much of their median."""
SLOWEST = 0.05
"""Frames per second, below which it is no film but pictures one after another."""
CUT = 0.05
"""Share of a film that may be missing at its end before it counts as damaged."""


class Film(ABC):
    """What is known before a frame is decoded.

    Attributes:
        size: (width, height).
        rate: frames per second, about.
    """

    size: tuple[int, int]
    rate: float

    @abstractmethod
    def frames(self) -> Iterator[tuple[Fraction, Image.Image]]:
        """Each frame with how long it is shown, in seconds. What is damaged raises whatever the decoder raises."""


class Animation(Film):
    """Pictures that move."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, picture = stream, self._opened(stream)
        if getattr(picture, "n_frames", 1) < 2:
            raise RefusedError("a picture that does not move")
        self.size = picture.size
        lengths = sorted(_shown(picture, number) for number in range(min(LOOKED_AT, picture.n_frames)))
        middle = lengths[len(lengths) // 2]
        usual = [one for one in lengths if abs(one - middle) <= ALIKE * middle]
        self.rate = _rate(float(len(usual) / sum(usual)))

    def frames(self) -> Iterator[tuple[Fraction, Image.Image]]:
        picture = self._opened(self._stream)  # anew: Pillow does not find back in every format
        for number in range(picture.n_frames):
            length = _shown(picture, number)
            yield length, picture.convert("RGBA" if picture.has_transparency_data else "RGB")

    @staticmethod
    def _opened(stream: IO[bytes]) -> Any:
        stream.seek(0)
        return Image.open(stream, formats=FORMATS)


class Container(Film):
    """The first stream of pictures in a container."""

    def __init__(self, container: Any) -> None:
        if not container.streams.video:
            raise RefusedError("no pictures in it, only sound or nothing")
        self._container, self._stream = container, container.streams.video[0]
        context = self._stream.codec_context
        if context is None or not context.width or not context.height:
            raise RefusedError("damaged: it does not say how large its pictures are")
        if context.width * context.height > (Image.MAX_IMAGE_PIXELS or 0):
            raise RefusedError(f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels")
        self.rate = _rate(float(self._stream.guessed_rate or self._stream.average_rate or 25))
        first = next(container.decode(self._stream), None)
        if first is None:
            raise RefusedError("damaged: not one picture can be decoded")
        self.size = self._upright(first).size
        container.seek(0)

    def frames(self) -> Iterator[tuple[Fraction, Image.Image]]:
        """Times are those that the frames carry; where they do not rise, the usual rate."""
        usual, last, waiting, count = Fraction(self.rate).limit_denominator(10_000), None, None, 0
        for frame in self._container.decode(self._stream):
            if frame.is_corrupt:
                raise RefusedError(f"damaged in frame {count + 1}")
            count += 1
            now = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            if waiting is not None:
                length = now - last if now is not None and last is not None else Fraction(0)
                yield (length if length > 0 else 1 / usual), waiting
            waiting, last = self._upright(frame), now
        if waiting is not None:
            yield 1 / usual, waiting
        if (whole := self._stream.frames) and count < (1 - CUT) * whole - 1:
            raise RefusedError(f"damaged: it ends after {count:,} of {whole:,} frames")
        self._check_end(last)

    def _check_end(self, last: Fraction | None) -> None:
        """Of containers that say how long they are, not how many frames they have."""
        whole, start = self._container.duration, self._container.start_time or 0  # microseconds
        if self._stream.frames or not whole or last is None or len(self._container.streams) > 1:
            return
        came = float(last) - start / 1e6 + 1 / self.rate
        if came < (1 - CUT) * whole / 1e6 - 1 / self.rate:
            raise RefusedError(f"damaged: it ends after {came:.1f} of {whole / 1e6:.1f} s")

    def _upright(self, frame: Any) -> Image.Image:
        """As it is meant to be seen: with square pixels, and turned as the camera was held."""
        picture: Image.Image = frame.to_image()
        wide = float(self._stream.sample_aspect_ratio or 1)
        if abs(wide - 1) > 0.01:
            picture = picture.resize((max(1, round(wide * picture.width)), picture.height), Image.Resampling.BICUBIC)
        return picture.rotate(frame.rotation, expand=True) if frame.rotation else picture


@contextmanager
def open_film(entry: Entry) -> Iterator[Film]:
    """The film of an entry, its header read.

    Raises:
        Exception: any, when it is damaged or not wanted; `why` has the words.
    """
    if entry.suffix not in (*CONTAINERS, *ANIMATED, None):
        raise RefusedError(f"its name does not end like a film's ({KINDS})")
    with entry.open() as stream, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks on odd metadata
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        start = stream.read(16)
        if not start:
            raise RefusedError("an empty file")
        stream.seek(0)
        if entry.suffix in ANIMATED or (entry.suffix is None and _is_picture(start)):
            yield Animation(stream)
        else:
            with _container(stream) as container:
                yield Container(container)


def _shown(picture: Any, number: int) -> Fraction:
    """For how long, of a frame that is decoded by then: Pillow does not know before."""
    picture.seek(number)
    picture.load()
    length = round(picture.info.get("duration") or 0)
    return Fraction(length if length >= SHORTEST else STANDARD, 1000)


def _rate(rate: float) -> float:
    if rate < SLOWEST:
        raise RefusedError(f"a picture every {1 / max(rate, 1e-9):,.0f} s: expected at least one in {1 / SLOWEST:.0f} s")
    return rate


def _is_picture(start: bytes) -> bool:
    return start.startswith((b"GIF8", b"\x89PNG")) or (start[:4] == b"RIFF" and start[8:12] == b"WEBP")


@contextmanager
def _container(stream: IO[bytes]) -> Iterator[Any]:
    av = optional("av", "Video", "video")
    logging.getLogger("libav").setLevel(logging.CRITICAL)  # what is wrong is said once, by us
    with av.open(stream, metadata_errors="ignore") as container:
        yield container


def why(error: Exception) -> str:
    """Why a film was rejected, in words for the user."""
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS or 0:,} pixels"
    if type(error).__module__.startswith("av."):
        return f"not a film, whatever its name says, or damaged ({str(error).partition(']')[2].partition(':')[0].strip()})"
    if isinstance(error, IndexError):  # Pillow's, of a GIF that is cut short
        return "damaged: it ends too early"
    if isinstance(error, UnidentifiedImageError):
        return "not a film, whatever its name says"
    return reason(error)
