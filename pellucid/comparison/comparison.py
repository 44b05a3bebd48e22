"""What a comparison found: a line for each method, and a page with a picture of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

from pellucid.core.files import atomic_write
from pellucid.evaluation.gallery import picture_of
from pellucid.evaluation.markup import Markup, join, tag
from pellucid.evaluation.page import page
from pellucid.evaluation.wording import duration, figure, short

METRICS = {"frechet": "Fréchet distance", "precision": "precision", "recall": "recall"}
"""Quality, fidelity and diversity."""
COLUMNS = ("method", *METRICS.values(), "calls", "s per sample", "parameters", "samples seen", "s per training sample")


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One method trained with one seed.

    Attributes:
        seconds: of training per sample, as measured in turn with the other methods.
        facts: of its evaluation, and what it cost.
        folder: of its run.
    """

    method: str
    seed: int
    seconds: list[float]
    facts: dict[str, Any]
    folder: Path

    def metric(self, name: str) -> float:
        return float(self.facts["metrics"][name]["value"])


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All methods and seeds; `minutes` is what each training cost."""

    outcomes: Sequence[Outcome]
    minutes: float

    @property
    def methods(self) -> list[str]:
        return list(dict.fromkeys(outcome.method for outcome in self.outcomes))

    def of(self, method: str) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.method == method]

    def rows(self) -> list[tuple[str, ...]]:
        """A line for each method, as `COLUMNS` names them: means over seeds, ± the spread from seed to seed."""
        return [self._row(method) for method in self.methods]

    def _row(self, method: str) -> tuple[str, ...]:
        ours = self.of(method)
        first, each = ours[0].facts, median(ours[0].seconds)
        metrics = (_spread([one.metric(name) for one in ours]) for name in METRICS)
        drawing = fmean(one.facts["seconds_each"] for one in ours)
        return (
            method, *metrics, str(first["nfe"]), figure(drawing, 2), short(first["parameters"]),
            f"{first['samples_seen']:,}", figure(each, 2),
        )  # fmt: skip

    @property
    def footing(self) -> str:
        """What the figures rest on, in a sentence."""
        first = self.outcomes[0].facts
        floors = (
            f"{METRICS[name]} {figure(first['metrics'][name]['floor'])}" for name in METRICS
            if first["metrics"][name]["floor"] is not None
        )
        seeds = len(self.of(self.methods[0]))
        return (
            f"Each training cost {duration(60 * self.minutes)}; means over {seeds} seed{'s' * (seeds > 1)}"
            f"{' ± their standard deviation' if seeds > 1 else ''}; {first['n']:,} samples against {first['n_real']:,} real "
            f"ones, features '{first['features']}'. Real data against real data: {', '.join(floors)}."
        )

    def as_markdown(self) -> str:
        lines = ["| " + " | ".join(cells) + " |" for cells in (COLUMNS, ("---",) * len(COLUMNS), *self.rows())]
        return "\n".join([*lines, "", self.footing, ""])

    def save(self, folder: Path) -> None:
        """comparison.md, and comparison.html with a picture of each method."""
        figures = {"outcomes": [{"method": one.method, "seed": one.seed, **one.facts} for one in self.outcomes]}
        html = page("Comparison", tag("header", tag("h1", "Side by side"), tag("p", self.footing, class_="verdict")),
                    self._table(), *map(self._pictures, self.methods))  # fmt: skip
        for name, text in (
            ("comparison.md", self.as_markdown()), ("comparison.html", html),
            ("outcomes.json", json.dumps(figures, indent=1, ensure_ascii=False)),
        ):  # fmt: skip
            with atomic_write(folder / name) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def _table(self) -> Markup:
        head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in COLUMNS)))
        rows = (tag("tr", tag("th", row[0], scope="row"), *(tag("td", cell) for cell in row[1:])) for row in self.rows())
        return tag("section", tag("h2", "Figures"), tag("div", tag("table", head, tag("tbody", *rows)), class_="wide"))

    def _pictures(self, method: str) -> Markup:
        files = [(one.seed, one.folder / "pictures" / "samples.png") for one in self.of(method)]
        shown = [picture_of(file, caption=f"seed {seed}") for seed, file in files if file.is_file()]
        return tag("section", tag("h2", method), tag("div", join(*shown), class_="charts"))


def _spread(values: Sequence[float]) -> str:
    spread = f" ± {figure(stdev(values), 2)}" if len(values) > 1 else ""
    return f"{figure(fmean(values))}{spread}"
