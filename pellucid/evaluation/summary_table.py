"""Facts as a table of two columns, from what JSON holds."""

from collections.abc import Mapping
from typing import Any

from pellucid.evaluation.history import number
from pellucid.evaluation.markup import Markup, tag
from pellucid.evaluation.wording import figure


def summary_table(values: Mapping[str, Any]) -> Markup | None:
    """A row for each entry, underscores in names as spaces; nothing for nothing."""
    rows = [
        tag("tr", tag("th", str(key).replace("_", " "), scope="row"), tag("td", _told(value)))
        for key, value in values.items()
    ]
    return tag("table", tag("tbody", *rows), class_="summary") if rows else None


def _told(value: object) -> str:
    """A JSON value in words: lists and mappings on one line."""
    if isinstance(value, dict):
        return " · ".join(f"{key} {_told(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return ", ".join(_told(inner) for inner in value)
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    return figure(number(value), 4) if isinstance(value, int | float) else str(value)
