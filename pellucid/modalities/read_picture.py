"""One picture, as it is, for those who work on a single one."""

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pellucid.core.errors import DataError
from pellucid.core.items import Rejection
from pellucid.modalities.canvas import Canvas
from pellucid.modalities.levels import Levels, black_and_white
from pellucid.modalities.open_picture import KINDS, open_picture, why
from pellucid.sources.entry import Entry
from pellucid.sources.file import File


def read_picture(path: Path, channels: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The picture in a file as (C, H, W) at its own size, and sentences for the user about how it was read.

    Arguments:
        path: of a file; an .npy array is one picture.
        channels: C; pictures in colours become grey for 1.

    Raises:
        DataError: there is none, or it cannot be read.
    """
    if path.is_dir():
        raise DataError(f"'{path}' is a folder, expected one picture ({KINDS})")
    if not path.exists():
        close = get_close_matches(path.name, [entry.name for entry in path.parent.glob("*")], n=1)
        raise DataError(f"There is no '{path}'." + (f" Did you mean '{path.with_name(close[0])}'?" if close else ""))
    (entry,) = File(path=path, name=path.name).entries()
    if isinstance(entry, Rejection):
        raise DataError(f"Cannot read '{path}' as a picture: {entry.reason}")
    return read_entry(replace(entry, name=str(path)), channels)


def read_entry(entry: Entry, channels: int) -> tuple[NDArray[np.uint8], tuple[str, ...]]:
    """The same of what has no file."""
    try:
        with open_picture(entry) as picture:
            (width, height), values = picture.size, picture.values()
        levels = Levels()
        if values is not None and values.dtype != np.uint8:
            low, high, _ = black_and_white(values.dtype, float(values.min()), float(values.max()))
            levels = Levels(known={values.dtype.name: (low, high)})
        with open_picture(entry) as picture:
            pixels = picture.pixels(Canvas(height=height, width=width, channels=channels, levels=levels))
            grey = ("colours made grey, as the model knows no others",) * (picture.channels > channels == 1)
            return pixels, (*picture.notes, *grey)
    except Exception as error:  # decoders of damaged files raise whatever they come upon
        raise DataError(f"Cannot read '{entry.name}' as a picture: {why(error)}") from None
