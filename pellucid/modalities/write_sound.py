"""Sounds as files that other programs play."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import UserError
from pellucid.core.files import atomic_write
from pellucid.core.optional import optional

FORMATS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""Names and kinds of numbers as libsndfile has them; Ogg Vorbis loses a little, the others nothing."""
PAUSE = 0.25
"""Seconds of silence between sounds in one file."""


def write_sound(path: Path, stored: NDArray[np.int16], rate: int) -> None:
    """(C, L) in 16 bits, whole or not at all.

    Raises:
        UserError: the path cannot be written, or a rate that the format has not.
    """
    soundfile, (kind, subtype) = optional("soundfile", "Sound", "sound"), FORMATS[path.suffix.lower()]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        try:
            soundfile.write(file, stored.T, rate, format=kind, subtype=subtype)
        except (soundfile.LibsndfileError, ValueError) as error:
            raise UserError(f"Cannot write '{path}' at {rate:,} Hz: {error}") from None
