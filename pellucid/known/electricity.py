"""Electricity demand of England and Wales, from the package pmdarima."""

import ast
from pathlib import Path
from typing import ClassVar

import numpy as np

from pellucid.core.errors import UserError
from pellucid.known.installed import installed
from pellucid.known.recipe import Progress, Recipe

COUNT, FIRST = 4032, "2000-06-05T00:00"


class Electricity(Recipe):
    """electricity.csv: half an hour a row, time and megawatts, of twelve weeks."""

    title: ClassVar[str] = "Electricity demand in England and Wales, every half hour from 5 June to 27 August 2000"
    origin: ClassVar[str] = "https://github.com/alkaline-ml/pmdarima"
    credit: ClassVar[str] = (
        "James W. Taylor, \"Short-term electricity demand forecasting using double seasonal exponential smoothing\", "
        "Journal of the Operational Research Society 54, 2003, pages 799 to 805; National Grid."
    )
    licence: ClassVar[str] = (
        "The package is under the MIT License, <https://github.com/alkaline-ml/pmdarima/blob/master/LICENSE>"
    )

    def write(self, folder: Path, progress: Progress) -> None:
        source = installed("pmdarima", "datasets/taylor.py", "Electricity demand").read_text(encoding="utf-8")
        lists = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.List)]
        values = [ast.literal_eval(value) for value in max(lists, key=lambda node: len(node.elts)).elts] if lists else []
        if len(values) != COUNT:
            raise UserError(f"What pmdarima has as electricity demand is {len(values)} values, expected {COUNT:,}")
        times = np.datetime64(FIRST) + np.arange(COUNT) * np.timedelta64(30, "m")
        lines = [f"{str(time).replace('T', ' ')},{value}" for time, value in zip(times, values, strict=True)]
        (folder / "electricity.csv").write_text("time,megawatts\n" + "\n".join(lines) + "\n", encoding="utf-8")
        progress(COUNT, COUNT)
