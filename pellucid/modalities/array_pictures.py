"""Pictures in an array file, with the labels that lie beside it, one record at a time."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pellucid.core.errors import DataError
from pellucid.core.files import sha256
from pellucid.core.items import Item, Origin, Record
from pellucid.modalities.arrays import ArrayFile
from pellucid.modalities.beside import ArrayPair
from pellucid.modalities.canvas import MODES, Canvas, Size
from pellucid.modalities.pixels import PixelFormat


def read_array(pair: ArrayPair, *, size: Size, channels: int | None, labels: bool) -> Iterator[Record]:
    """The pictures of `pair.pictures`, labelled by `pair.labels` and named by `pair.class_names`.

    Raises:
        DataError: a file is damaged or of the wrong kind, or the labels do not fit the pictures.
    """
    array = ArrayFile.open(*pair.pictures)
    pixels = PixelFormat.of(array)
    canvas, note = _canvas(array, pixels, size, channels)
    notes = tuple(filter(None, (pair.note, pixels.note, note)))
    for path in pair.files():
        own = notes if path == array.path else ()
        yield Origin(source=path.name, size=path.stat().st_size, sha256=sha256(path), notes=own)
    named = _labels(ArrayFile.open(*pair.labels), pair, len(array)) if labels and pair.labels else None
    for index, row in enumerate(array.rows()):
        yield Item(
            source=f"{array.path.name}#{index}",
            data=canvas.of_array(pixels(row)),
            label=next(named) if named else None,
        )


def _canvas(array: ArrayFile, pixels: PixelFormat, size: Size, channels: int | None) -> tuple[Canvas, str]:
    found, height, width = pixels.shape
    wanted = channels or found
    if wanted != found and not {wanted, found} <= MODES.keys():
        raise DataError(f"'{array.path}' has {found} channels, which cannot be read as {wanted}.")
    return Canvas.choose(Counter({(width, height): 1}), wanted, size)


def _labels(array: ArrayFile, pair: ArrayPair, count: int) -> Iterator[str]:
    """The label of each picture, in order; the number of labels is checked at once."""
    if len(array) != count:
        raise DataError(
            f"'{array.path.name}' holds {len(array)} labels, '{pair.pictures[0].name}' {count} pictures. "
            "They do not belong together."
        )
    if array.shape[1:] not in ((), (1,)) or array.dtype.kind not in "biuSU":
        raise DataError(f"'{array.path.name}' holds {array.dtype} {array.shape}; expected one whole number or word each.")
    names = _class_names(pair.class_names)
    return (_named(value.reshape(()).item(), names, pair) for value in array.rows())


def _class_names(path: Path | None) -> list[str]:
    if path is None:
        return []
    names = [line.strip() for line in path.read_text(encoding="utf-8-sig").strip().splitlines()]
    if not all(names) or len(set(names)) != len(names):
        raise DataError(f"'{path}' must name one class on each line, no two alike and none empty.")
    return names


def _named(value: Any, names: list[str], pair: ArrayPair) -> str:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str) or not names:
        return str(int(value)) if isinstance(value, bool) else str(value)
    if not 0 <= value < len(names):
        raise DataError(f"'{pair.class_names}' names {len(names)} classes, but there is a label {int(value)}.")
    return names[int(value)]


