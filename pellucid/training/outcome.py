"""What came of a run's minutes, in a line: its held-out loss beside what was expected, and what more of them would do."""

from pathlib import Path

from pellucid.evaluation.history import History
from pellucid.evaluation.wording import figure
from pellucid.training.standing import REACHED

ADVICE = {
    "learning": "still learning: more minutes would make it better",
    "flat": "flat: more minutes alone would hardly help; more data or a larger network might",
    "memorising": "memorising: it learns training samples by heart; more data, or fewer minutes, would make it better",
}
"""By the word that `Standing` has for it."""


def outcome(log: Path) -> str | None:
    """Of the run with this log; None where nothing was held out."""
    history = History.read(log)
    reached, budget = history.kind(REACHED), history.kind("budget")
    if not reached:
        return None
    loss, error = float(reached[-1]["loss"]), float(reached[-1]["standard_error"])
    said = f"held-out loss {figure(loss)} ± {figure(1.96 * error, 2)}"
    if budget and "low" in budget[-1]:
        low, high = (float(budget[-1][end]) for end in ("low", "high"))
        beside = "as expected" if low <= loss <= high else "less than expected" if loss < low else "more than expected"
        said += f", {beside} ({figure(low)} to {figure(high)})"
    advice = ADVICE.get(str(reached[-1].get("word")))
    return said + (f"; {advice}" if advice else "")
