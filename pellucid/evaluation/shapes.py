"""The sizes of the pictures in files, as they are before anything is scaled."""

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from PIL import Image

ORIENTATION, SIDEWAYS = 0x0112, frozenset({5, 6, 7, 8})  # EXIF: pictures that are turned before they are shown


def shapes(files: Iterable[Path]) -> dict[str, Any]:
    """How many files there are, how many are pictures, and of these the sizes and how many are upright, square or wide.

    From headers alone, in memory that does not grow with them; what is no picture is passed over. `least` and `most` are
    [width, height] of the smallest and the largest by area, `ratios` the least and the most width / height.
    """
    found: dict[str, Any] = {"files": 0, "pictures": 0, "portrait": 0, "square": 0, "landscape": 0}
    for path in files:
        found["files"] += 1
        size = _size(path)
        if size is None or not min(size):  # headers of other things may pass for those of empty pictures
            continue
        width, height = size
        ratio = width / height
        found["pictures"] += 1
        found["portrait" if ratio < 1 else "landscape" if ratio > 1 else "square"] += 1
        found["least"] = min(found.get("least", [width, height]), [width, height], key=lambda size: size[0] * size[1])
        found["most"] = max(found.get("most", [width, height]), [width, height], key=lambda size: size[0] * size[1])
        least, most = found.get("ratios", [ratio, ratio])
        found["ratios"] = [min(least, ratio), max(most, ratio)]
    return found


def _size(path: Path) -> tuple[int, int] | None:
    if not path.is_file():  # a pipe would be waited for
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on odd metadata
            with Image.open(path) as picture:
                turned = Image.Image.getexif(picture).get(ORIENTATION) in SIDEWAYS
                return picture.size[::-1] if turned else picture.size
    except Exception:  # decoders of damaged files raise whatever they come upon
        return None
