"""Forecasts and filled gaps of a trained model against what is usual, on rows that it has not seen.

    forecasts.py volatility CSV --column Close --out CSV        a column more: how far the next return is expected to go
    forecasts.py returns  RUN --data CSV --column Close --from ROW --ahead 5  --out JSON       against GARCH(1, 1)
    forecasts.py seasonal RUN --data CSV --column NAME  --from ROW --ahead 12 --period 12 --out JSON  against seasonal naive
    forecasts.py gaps     RUN --data CSV --from ROW --share 0.3 --out JSON                     against linear interpolation
    forecasts.py record   JSON [JSON ...] --out records/forecasts.md

RUN was trained on the rows before ROW. At every `--every`-th row from there on a forecast is made from all that came before,
`--draws` versions of it, and judged by the continuous ranked probability score, the mean over the steps ahead: of log prices
relative to the last one known for `returns`, of values for `seasonal`. GARCH(1, 1) with a constant mean and Student's t is
fitted by the package arch to all returns before the origin, anew every 20 origins, and simulated. The seasonal naive
forecast is the value one period before, with the errors that this has made until then around it, as many steps ahead.
`gaps` hides a share of the values after ROW at random and compares mean absolute errors, in standard deviations of each
column. Differences are tested as Diebold and Mariano 1995 have it, with as many lags as forecasts overlap.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from resume import machine
from scipy.stats import t as student

from pellucid.core.files import atomic_write
from pellucid.metrics.crps import crps
from pellucid.metrics.diebold_mariano import diebold_mariano
from pellucid.modalities.series import Series
from pellucid.model.filling import fill
from pellucid.model.model import Model

Array = NDArray[np.float64]
REFIT = 20
DECAY = 0.94


def main() -> None:
    asked = _arguments()
    commands = {
        "volatility": _volatility, "returns": _returns, "seasonal": _seasonal, "gaps": _gaps, "record": _record
    }  # fmt: skip
    commands[asked.command](asked)


def _opened(asked: argparse.Namespace) -> tuple[Model, Array, int]:
    """The model, all rows (C, T), and the place of the column that is forecast."""
    model = Model.load(asked.run)
    assert isinstance(model.modality, Series)
    whole = model.modality.open(asked.data)[0][0].values.T
    return model, whole, model.modality.columns.index(asked.column) if asked.command != "gaps" else 0


def _origins(asked: argparse.Namespace, rows: int) -> range:
    """Numbers of rows that are known."""
    return range(asked.first, rows - asked.ahead + 1, asked.every)


def _ours(asked: argparse.Namespace, model: Model, known: Array, place: int) -> Array:
    """(n, ahead) of the column, from what is known (C, T)."""
    series = model.modality
    assert isinstance(series, Series)
    past = known[:, -3 * model.facts.shape[1] :]
    ahead = np.pad(past, ((0, 0), (0, asked.ahead)), constant_values=np.nan)
    made = fill(model, series.change(ahead)[:, 1:], n=asked.draws, seed=known.shape[1])
    whole = series.change_back(np.pad(made, ((0, 0), (0, 0), (1, 0))), ahead)
    return np.asarray(whole[:, place, -asked.ahead :])


def _returns(asked: argparse.Namespace) -> None:
    from arch import arch_model

    model, whole, place = _opened(asked)
    log, fitted = np.log(whole[place]), dict[str, float]()
    ours, theirs = list[float](), list[float]()
    for number, origin in enumerate(_origins(asked, whole.shape[1])):
        truth = log[origin : origin + asked.ahead] - log[origin - 1]
        made = np.log(_ours(asked, model, whole[:, :origin], place)) - log[origin - 1]
        past = 100 * np.diff(log[:origin])
        if number % REFIT == 0:
            fitted = arch_model(past, mean="Constant", vol="GARCH", p=1, q=1, dist="t").fit(disp="off").params.to_dict()
        fixed = arch_model(past, mean="Constant", vol="GARCH", p=1, q=1, dist="t").fix(list(fitted.values()))
        drawn: Any = fixed.forecast(
            horizon=asked.ahead, method="simulation", simulations=asked.draws, reindex=False,
            rng=_student(np.random.default_rng(origin), fitted["nu"]),
        )  # fmt: skip
        paths = drawn.simulations.values[-1].cumsum(1) / 100
        ours.append(float(crps(made, truth).mean()))
        theirs.append(float(crps(paths, truth).mean()))
        _tell(number, ours, theirs)
    _write(asked, ours, theirs, "GARCH(1, 1), Student's t", "log price, relative to the last one")


def _student(random: np.random.Generator, nu: float) -> Callable[[Any], Array]:
    """Standardised draws of Student's t, of the shape that is asked for."""

    def drawn(size: Any) -> Array:
        return np.asarray(random.standard_t(nu, size=size) * np.sqrt((nu - 2) / nu))

    return drawn


def _volatility(asked: argparse.Namespace) -> None:
    """v_{t+1} = sqrt(0.94 v_t^2 + 0.06 r_t^2) in the row of r_t (RiskMetrics 1996, eq. 5.3), which knows no later rows."""
    with asked.data.open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    values = np.array([float(row[asked.column]) for row in rows])
    returns = np.diff(np.log(values))
    square = float(returns[0]) ** 2
    for row, change in zip(rows, [0.0, *returns], strict=True):
        square = DECAY * square + (1 - DECAY) * float(change) ** 2
        row["Volatility"] = repr(sqrt(square))
    with atomic_write(asked.out) as temporary, temporary.open("w", encoding="utf-8", newline="") as opened:
        table = csv.DictWriter(opened, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


def _seasonal(asked: argparse.Namespace) -> None:
    model, whole, place = _opened(asked)
    values, period = whole[place], asked.period
    ours, theirs = [], []
    for number, origin in enumerate(_origins(asked, len(values))):
        truth = values[origin : origin + asked.ahead]
        made = _ours(asked, model, whole[:, :origin], place)
        back = period * -(-asked.ahead // period)
        errors = values[back:origin] - values[: origin - back]
        naive = values[origin - back : origin - back + asked.ahead]
        drawn = np.random.default_rng(origin).choice(errors, size=(asked.draws, 1))
        ours.append(float(crps(made, truth).mean()))
        theirs.append(float(crps(naive + drawn, truth).mean()))
        _tell(number, ours, theirs)
    _write(asked, ours, theirs, f"seasonal naive, period {period}", asked.column)


def _gaps(asked: argparse.Namespace) -> None:
    model, whole, _ = _opened(asked)
    length, scale = model.facts.shape[1], whole.std(1, keepdims=True)
    ours, theirs = [], []
    for number, start in enumerate(range(asked.first, whole.shape[1] - length + 1, length)):
        part = whole[:, start : start + length]
        hidden = np.random.default_rng(start).random(part.shape) < asked.share
        hidden[:, [0, -1]] = False  # between whose values a line can be drawn
        holes = np.where(hidden, np.nan, part)
        middle = np.median(fill(model, holes, n=asked.draws, seed=start), axis=0)
        line = np.stack([np.interp(np.arange(len(row)), np.flatnonzero(~gone), row[~gone])
                         for row, gone in zip(part, hidden, strict=True)])  # fmt: skip
        ours.append(float((np.abs(middle - part) / scale)[hidden].mean()))
        theirs.append(float((np.abs(line - part) / scale)[hidden].mean()))
        _tell(number, ours, theirs)
    _write(asked, ours, theirs, "linear interpolation", f"{asked.share:.0%} of all values, in standard deviations")


def _tell(number: int, ours: list[float], theirs: list[float]) -> None:
    if number % 20 == 0:
        print(f"{number}: ours {np.mean(ours):.5g}, theirs {np.mean(theirs):.5g}", flush=True)


def _write(asked: argparse.Namespace, ours: list[float], theirs: list[float], other: str, what: str) -> None:
    overlap = 1 if asked.command == "gaps" else max(1, -(-asked.ahead // asked.every))
    found = diebold_mariano(np.array(ours), np.array(theirs), ahead=overlap)
    facts = {
        "kind": asked.command, "run": asked.run.name, "trained": _trained(asked.run), "data": asked.data.name,
        "from": asked.first, "what": what,
        "other": other, "ahead": getattr(asked, "ahead", 0), "every": getattr(asked, "every", 0), "draws": asked.draws,
        "origins": len(ours), "ours": found.first, "theirs": found.second, "statistic": found.statistic,
        "p": float(student.cdf(found.statistic, found.freedom)), "scores": [ours, theirs],
    }  # fmt: skip
    print({name: value for name, value in facts.items() if name != "scores"})
    with atomic_write(asked.out) as temporary:
        temporary.write_text(json.dumps(facts, indent=1), encoding="utf-8")


def _trained(run: Path) -> str:
    """What the model is, in words."""
    model = Model.load(run)
    columns, length = model.facts.shape
    return f"{columns} x {length}, {model.card['samples_seen']:,} samples in {model.card['minutes']:.0f} min"


def _record(asked: argparse.Namespace) -> None:
    every = [json.loads(path.read_text(encoding="utf-8")) for path in asked.json]
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join(_lines(every)), encoding="utf-8")


def _lines(every: list[dict[str, Any]]) -> Iterator[str]:
    yield "# Forecasts and filled gaps"
    yield ""
    yield ("Rows that were not trained on. Scores are continuous ranked probability scores (forecasts) or absolute errors "
           "of medians (gaps): lower is better. p is the probability of a statistic as low as this if both were as good.")
    yield ""
    yield "| data | model | what | rows ahead | origins | ours | other | its score | ours / other | Diebold-Mariano | p |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for one in every:
        yield (
            f"| {one['data']} from row {one['from']:,} | {one['trained']} | {one['what']} | {one['ahead'] or '–'} "
            f"| {one['origins']} "
            f"| {one['ours']:.4g} | {one['other']} | {one['theirs']:.4g} | **{one['ours'] / one['theirs']:.3f}** "
            f"| {one['statistic']:.2f} | {one['p']:.2g} |"
        )
    yield ""
    yield "- commands: in the docstring of benchmarks/forecasts.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()
    yield ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare forecasts and filled gaps with what is usual.")
    commands = parser.add_subparsers(dest="command", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("run", type=Path, help="trained on the rows before --from")
    shared.add_argument("--data", type=Path, required=True)
    shared.add_argument("--from", dest="first", type=int, required=True, help="rows that are known at the first origin")
    shared.add_argument("--draws", type=int, default=200)
    shared.add_argument("--out", type=Path, required=True)
    ahead = argparse.ArgumentParser(add_help=False)
    ahead.add_argument("--column", required=True)
    ahead.add_argument("--ahead", type=int, required=True, help="rows")
    ahead.add_argument("--every", type=int, default=1, help="rows from one origin to the next")
    more = commands.add_parser("volatility", help="add a column")
    more.add_argument("data", type=Path)
    more.add_argument("--column", required=True)
    more.add_argument("--out", type=Path, required=True)
    commands.add_parser("returns", parents=[shared, ahead], help="against GARCH")
    commands.add_parser("seasonal", parents=[shared, ahead], help="against the value one period before").add_argument(
        "--period", type=int, required=True, help="rows"
    )
    commands.add_parser("gaps", parents=[shared], help="against linear interpolation").add_argument(
        "--share", type=float, default=0.3
    )
    recording = commands.add_parser("record", help="write the record")
    recording.add_argument("json", type=Path, nargs="+")
    recording.add_argument("--out", type=Path, default=Path("records/forecasts.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
