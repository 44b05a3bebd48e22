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
SHORTEST = 20


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

    def __init__(self, picture: Any) -> None:
        if getattr(picture, "n_frames", 1) < 2:
            raise RefusedError("a picture that does not move")
        self._picture, self.size = picture, picture.size
        picture.load()  # Pillow knows durations from then on
        self.rate = float(1 / self._shown())

    def frames(self) -> Iterator[tuple[Fraction, Image.Image]]:
        for number in range(self._picture.n_frames):
            self._picture.seek(number)
            self._picture.load()
            yield self._shown(), self._picture.convert("RGBA" if self._picture.has_transparency_data else "RGB")

    def _shown(self) -> Fraction:
        length = round(self._picture.info.get("duration") or 0)
        return Fraction(length if length >= SHORTEST else STANDARD, 1000)


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
        self.size = (context.width, context.height)
        self.rate = float(self._stream.average_rate or self._stream.guessed_rate or 25)

    def frames(self) -> Iterator[tuple[Fraction, Image.Image]]:
        """Times are those that the frames carry; where they do not rise, the usual rate."""
        usual, last, waiting = Fraction(self.rate).limit_denominator(10_000), None, None
        for frame in self._container.decode(self._stream):
            now = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
            if waiting is not None:
                rising = now is not None and last is not None and now > last
                yield (now - last if rising else 1 / usual), waiting  # type: ignore[operator]
            waiting, last = frame.to_image(), now
        if waiting is not None:
            yield 1 / usual, waiting


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
            yield Animation(Image.open(stream, formats=FORMATS))
        else:
            with _container(stream) as container:
                yield Container(container)


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
    if isinstance(error, UnidentifiedImageError):
        return "not a film, whatever its name says"
    return reason(error)
