"""Daily prices of two stock indices, from the package arch."""

import gzip
from pathlib import Path
from typing import ClassVar

from pellucid.known.installed import installed
from pellucid.known.recipe import Progress, Recipe

NAMES = ("sp500", "nasdaq")


class StockIndices(Recipe):
    """sp500.csv and nasdaq.csv: date, open, high, low, close, adjusted close and volume of each trading day."""

    title: ClassVar[str] = "S&P 500 and NASDAQ Composite, each trading day from 1999 to 2018, 5,031 rows"
    origin: ClassVar[str] = "https://github.com/bashtage/arch"
    credit: ClassVar[str] = (
        "Kevin Sheppard, arch: autoregressive conditional heteroskedasticity models in Python; prices by Yahoo Finance."
    )
    licence: ClassVar[str] = (
        "The package is under the University of Illinois/NCSA Open Source License, "
        "<https://github.com/bashtage/arch/blob/main/LICENSE.md>"
    )

    def write(self, folder: Path, progress: Progress) -> None:
        for number, name in enumerate(NAMES, 1):
            packed = installed("arch", f"data/{name}/{name}.csv.gz", "Stock indices").read_bytes()
            (folder / f"{name}.csv").write_bytes(gzip.decompress(packed))
            progress(number, len(NAMES))
