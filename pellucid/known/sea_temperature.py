"""Temperature of the Pacific off Peru and Ecuador, month by month, from the package statsmodels."""

import csv
from pathlib import Path
from typing import ClassVar

from pellucid.known.installed import installed
from pellucid.known.recipe import Progress, Recipe


class SeaTemperature(Recipe):
    """sea-temperature.csv: month and degrees Celsius, 732 rows."""

    title: ClassVar[str] = "Sea surface temperature off Peru and Ecuador (El Niño), monthly averages, 1950 to 2010"
    origin: ClassVar[str] = "https://www.statsmodels.org/stable/datasets/generated/elnino.html"
    credit: ClassVar[str] = "National Oceanic and Atmospheric Administration, National Weather Service, ERSST.V3B averages."
    licence: ClassVar[str] = "The data is in the public domain; the package is under the BSD 3-Clause License."

    def write(self, folder: Path, progress: Progress) -> None:
        source = installed("statsmodels", "datasets/elnino/elnino.csv", "Sea temperatures")
        lines = ["month,celsius"]
        with source.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                year, *months = row.values()
                lines += [f"{year}-{month:02d},{value}" for month, value in enumerate(months, 1)]
        (folder / "sea-temperature.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        progress(len(lines) - 1, len(lines) - 1)
