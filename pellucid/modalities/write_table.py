"""Columns as a CSV or Parquet file, numbers written so that they are read back to the last bit."""

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.core.errors import UnsupportedError
from pellucid.core.files import atomic_write

Columns = Mapping[str, Sequence[Any]]


def write_columns(path: Path, columns: Columns) -> None:
    """A table with these columns, all of one length, whole or not at all; NaN is left empty.

    Raises:
        UserError: the path cannot be written, or pyarrow is missing for Parquet.
    """
    with atomic_write(path) as temporary:
        suffix = path.suffix.lower()
        if suffix == ".parquet":
            try:
                from pyarrow import parquet, table
            except ImportError:
                raise UnsupportedError("A Parquet file needs pyarrow: pip install 'pellucid[data]'") from None
            parquet.write_table(table({name: list(values) for name, values in columns.items()}), temporary)
            return
        with temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, delimiter="\t" if suffix == ".tsv" else ",", lineterminator="\n")
            writer.writerow(columns)
            writer.writerows(zip(*(map(cell, values) for values in columns.values()), strict=True))


def cell(value: Any) -> str:
    """A value as text; NaN is empty."""
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value)).removesuffix(".0")
    return str(value)


def free(name: str, taken: Collection[str]) -> str:
    """The name, or with lines after it where a column is called so already."""
    while name in taken:
        name += "_"
    return name
