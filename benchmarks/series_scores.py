"""Generated windows of prices against real ones: the standard scores, fat tails, and volatility that comes in clusters.

    series_scores.py RUN --column Close --out records/series.md [--draws 3000] [--seeds 5]

RUN was trained on windows of prices. Scores are those of TimeGAN's protocol (`metrics.Discriminative`,
`metrics.Predictive`), each over five seeds, with the same figures of real data: halves against each other, and a forecaster
that has learned from real windows. The chart beside the record, of the same name as .svg, shows for the returns of one
column how often they are larger than so many standard deviations, and how their sizes are correlated with those some days
later, within windows.
"""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from panels import stacked
from resume import machine

from pellucid.core.files import atomic_write
from pellucid.data.pack import Pack
from pellucid.evaluation.chart import Series as Curve
from pellucid.evaluation.evaluate import evaluate
from pellucid.metrics.discriminative import Discriminative
from pellucid.metrics.predictive import Predictive
from pellucid.metrics.result import Result
from pellucid.modalities.series import Series
from pellucid.model.model import Model
from pellucid.training.measure import run_data

Array = NDArray[np.float64]
SIZES = np.linspace(0.0, 8.0, 65)
LAGS = 12
BAR, WITHIN = 0.08, 1.1


def main() -> None:
    asked = _arguments()
    model, pack = Model.load(asked.run), Pack.open(run_data(asked.run))
    assert isinstance(model.modality, Series)
    real, began = pack[np.arange(len(pack))][0], perf_counter()
    found = evaluate(model, pack, n=asked.draws, seed=0)
    made = model.modality.encode(found.samples.data)
    drawing = found.samples.seconds
    windows = torch.from_numpy(real), torch.from_numpy(made)
    print("telling apart", flush=True)
    told = Discriminative(seeds=asked.seeds)(*windows)
    print(told, flush=True)
    foretold = Predictive(seeds=asked.seeds)(*windows)
    print(foretold, flush=True)
    place = model.modality.columns.index(asked.column)
    returns = [np.diff(np.log(some[:, place]), axis=1) for some in (real, made)]
    chart = stacked(_charts(*returns), x_label="standard deviations, or days (real: dashed)")
    with atomic_write(asked.out.with_suffix(".svg")) as temporary:
        temporary.write_text(str(chart), encoding="utf-8")
    scores = {"discriminative score": told, "predictive score": foretold, "Fréchet distance": found.metrics["frechet"]}
    with atomic_write(asked.out) as temporary:
        temporary.write_text("\n".join(_lines(asked, model, pack, scores, returns, drawing)), encoding="utf-8")
    print(f"{perf_counter() - began:.0f} s")


def _charts(real: Array, made: Array) -> dict[str, tuple[list[Curve], bool]]:
    tails = [Curve(x=SIZES, y=_beyond(some), style=style, label=label) for some, style, label in
             ((real, "floor", "real"), (made, "line", "generated"))]  # fmt: skip
    lags = np.arange(1, LAGS + 1, dtype=np.float64)
    memory = [Curve(x=lags, y=_memory(np.abs(some)), style=style) for some, style in ((real, "floor"), (made, "line"))]
    plain = [Curve(x=lags, y=_memory(some), style=style) for some, style in ((real, "floor"), (made, "line"))]
    return {
        "Share of returns beyond so many deviations": (tails, True),
        "Correlation of their sizes with those so many days later": (memory, False),
        "Correlation of the returns themselves": (plain, False),
    }


def _beyond(returns: Array) -> Array:
    """The share of |r| above each of `SIZES`; NaN where there are fewer than ten."""
    sizes = np.sort(np.abs(returns - returns.mean()).ravel() / returns.std())
    above = len(sizes) - np.searchsorted(sizes, SIZES)
    return np.where(above >= 10, above / len(sizes), np.nan)


def _memory(values: Array) -> Array:
    """Correlation at each lag, pairs of all windows together."""
    away = values - values.mean()
    scale = (away**2).mean()
    return np.array([(away[:, lag:] * away[:, :-lag]).mean() / scale for lag in range(1, LAGS + 1)])


def _kurtosis(returns: Array) -> float:
    away = returns - returns.mean()
    return float((away**4).mean() / (away**2).mean() ** 2)


def _lines(
    asked: argparse.Namespace, model: Model, pack: Pack, scores: dict[str, Result], returns: list[Array], drawing: float
) -> Iterator[str]:
    told, foretold = scores["discriminative score"], scores["predictive score"]
    real, made = returns
    yield f"# {asked.title}"
    yield ""
    yield (f"- discriminative score {told.value:.3f}, at most {BAR}: **{'yes' if told.value <= BAR else 'NO'}**")
    ratio = foretold.value / (foretold.floor or float("nan"))
    yield (f"- predictive score {ratio:.3f} times that of a forecaster that has learned from real data, at most {WITHIN}: "
           f"**{'yes' if ratio <= WITHIN else 'NO'}**")  # fmt: skip
    yield ""
    yield (f"{len(pack):,} windows of {pack.shape[1]} rows and {pack.shape[0]} columns; {asked.draws:,} generated in "
           f"{drawing:.0f} s. The model: {sum(p.numel() for p in model.denoiser.parameters()) / 1e6:.2f}M parameters, "
           f"{model.card['samples_seen']:,} samples in {model.card['minutes']:.1f} minutes.")  # fmt: skip
    yield ""
    yield "| | value | 95% interval | real data | |"
    yield "| --- | --- | --- | --- | --- |"
    for name, one in scores.items():
        over = "samples" if name.startswith("Fr") else f"{asked.seeds} seeds"
        yield f"| {name} | {one.value:.4f} | {one.low:.4f} to {one.high:.4f} | {one.floor:.4f} | over {over} |"
    yield ""
    yield f"| daily returns of {asked.column} | real | generated |"
    yield "| --- | --- | --- |"
    yield f"| standard deviation | {real.std():.5f} | {made.std():.5f} |"
    yield f"| kurtosis (normal: 3) | {_kurtosis(real):.1f} | {_kurtosis(made):.1f} |"
    for lag in (1, 5):
        values = [_memory(np.abs(some))[lag - 1] for some in (real, made)]
        yield f"| correlation of sizes, {lag} day{'s' * (lag > 1)} apart | {values[0]:.3f} | {values[1]:.3f} |"
    yield ""
    yield f"![Tails and clusters]({asked.out.with_suffix('.svg').name})"
    yield ""
    yield "- commands: in the docstring of benchmarks/series_scores.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()
    yield ""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Score generated windows of prices.")
    parser.add_argument("run", type=Path)
    parser.add_argument("--column", default="Close")
    parser.add_argument("--title", default="Series: daily stock indices")
    parser.add_argument("--draws", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("records/series.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
