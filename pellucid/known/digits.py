"""Handwritten digits, 8 x 8, which come with scikit-learn: nothing is downloaded."""

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pellucid.core.errors import UserError
from pellucid.known.recipe import Progress, Recipe

WHITE = 16  # the largest value


class Digits(Recipe):
    """1,797 grey pictures, one PNG file each, in a folder for each digit."""

    title: ClassVar[str] = "Handwritten digits: 1,797 grey pictures of 8 x 8 pixels, 0 to 9"
    origin: ClassVar[str] = "https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits"
    credit: ClassVar[str] = (
        "E. Alpaydin and C. Kaynak, \"Optical Recognition of Handwritten Digits\", UCI Machine Learning Repository, 1998, "
        "doi:10.24432/C50P49; the test part, as distributed with scikit-learn, its values 0 to 16 scaled to 0 to 255."
    )
    licence: ClassVar[str] = "Creative Commons Attribution 4.0: <https://creativecommons.org/licenses/by/4.0/>"

    def write(self, folder: Path, progress: Progress) -> None:
        pixels, numbers = digits()
        for index, (picture, digit) in enumerate(zip(pixels, numbers, strict=True)):
            place = folder / str(digit)
            place.mkdir(exist_ok=True)
            Image.fromarray(picture).save(place / f"{index:04d}.png")
            progress(index + 1, len(pixels))


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pictures (N, 8, 8) and their numbers.

    Raises:
        UserError: scikit-learn is not there.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise UserError("The digits come with scikit-learn, which is missing: pip install 'pellucid[data]'") from None
    found = load_digits()
    return np.rint(found.images * (255 / WHITE)).astype(np.uint8), found.target
