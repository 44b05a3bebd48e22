"""`make demo`: from real pictures to a trained model to new pictures, measured, in a few minutes on two cores.

Reads data/fashion-mnist, 10,000 pictures of clothes in ten classes. Writes DEMO/samples.png, DEMO/journey.gif,
DEMO/report.html, and the whole run under DEMO/fashion, which `pellucid sample DEMO/fashion` then takes from.
"""

import argparse
import os
import shutil
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch starts its threads; see pellucid/cli/app.py

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import pellucid
from pellucid.cli.console import TrainingDisplay, duration
from pellucid.core.errors import ConfigError, PellucidError
from pellucid.evaluation.evaluate import evaluate
from pellucid.evaluation.evaluation import Evaluation
from pellucid.training.config import NAME as CONFIG
from pellucid.training.config import load_config
from pellucid.training.measure import record, run_data

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data" / "fashion-mnist"
RECIPE = Path(__file__).with_name("fashion.toml")
NAME = "fashion"
"""The run's folder in DEMO."""
MEASURED = 2000
"""Samples that the metrics are taken on: 200 of each class."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0, help="how long to train (default 3)")
    parser.add_argument("--out", type=Path, default=ROOT / "demo", help="folder for the results (default demo)")
    options = parser.parse_args()
    screen = Console(stderr=True, highlight=False)
    model = train(options.out / NAME, options.minutes, screen)
    show(model, options.out, screen)
    found = measure(model, options.out, screen)
    screen.print(table(found, model))
    for name in ("samples.png", "journey.gif", "report.html"):
        screen.print(f"wrote     {shown(options.out / name)}", soft_wrap=True)
    command = f".venv/bin/pellucid sample {shown(options.out / NAME)} -n 36 --label coat --out coats.png"
    screen.print(f"more      {command}", soft_wrap=True)


def train(run: Path, minutes: float, screen: Console) -> pellucid.Model:
    """A new run, or what is left of one that was interrupted. An earlier demo's run is replaced, any other is not."""
    resume = (run / CONFIG).is_file()
    if resume and load_config(run / CONFIG).data.path != str(DATA):
        raise ConfigError(f"'{run}' holds a run on other data: choose another --out")
    if (run / "model.safetensors").is_file():
        shutil.rmtree(run)
        resume = False
    if resume:
        screen.print(f"resuming  {shown(run)}, which was interrupted, with its own settings")
    with TrainingDisplay(screen) as display:
        if resume:
            return pellucid.train(DATA, run, resume=True, observer=display)
        settings = ["training.evaluate=false"]  # here it is a step of its own
        return pellucid.train(DATA, run, minutes=minutes, recipe=RECIPE, settings=settings, observer=display)


def show(model: pellucid.Model, out: Path, screen: Console) -> None:
    """The pictures that training has already drawn, where they are found at once."""
    screen.print(f"trained   {model.card['samples_seen']:,} samples in {duration(60 * model.card['minutes'])}")
    for name in ("samples.png", "journey.gif"):
        shutil.copyfile(out / NAME / "pictures" / name, out / name)


def measure(model: pellucid.Model, out: Path, screen: Console) -> Evaluation:
    """Distances to the real pictures and the share of recognised classes; they join the run's log and report."""
    run = out / NAME
    with screen.status(f"drawing {MEASURED:,} samples and measuring them"):
        found = evaluate(model, run_data(run), n=MEASURED, seed=1)
    record(run, found, int(model.card["samples_seen"]))
    shutil.copyfile(run / "report.html", out / "report.html")
    samples = found.samples
    screen.print(f"measured  {MEASURED:,} samples, {samples.nfe} network calls each, drawn in {duration(samples.seconds)}")
    return found


def table(found: Evaluation, model: pellucid.Model) -> Table:
    """The figures beside what real pictures get."""
    named = {
        "frechet": ("Fréchet distance, less is better", "{:.2f}"),
        "kernel": ("kernel distance, less is better", "{:.3f}"),
        "recall": ("recall, more is better", "{:.2f}"),
        "agreement": ("class recognised, more is better", "{:.1%}"),
        "closeness": ("close to a training picture, chance is 5%", "{:.1%}"),
    }
    rows = Table(box=SIMPLE_HEAD, pad_edge=False)
    rows.add_column(f"{len(model.facts.labels)} classes, {MEASURED:,} samples", no_wrap=True)
    for column in ("generated", "95% interval", "real"):
        rows.add_column(column, justify="right", no_wrap=True)
    for name, (words, form) in named.items():
        result = found.metrics[name]
        value, low, high, floor = (form.format(x) for x in (result.value, result.low, result.high, result.floor))
        rows.add_row(words, value, f"{low} to {high}", floor)
    return rows


def shown(path: Path) -> str:
    """Relative to where the user stands, if below it."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


if __name__ == "__main__":
    try:
        main()
    except (PellucidError, KeyboardInterrupt) as error:
        sys.exit(f"error: {error}" if str(error) else "interrupted")
