"""Which settings train best at equal cost: every try of bakeoff.toml for the same number of seconds of the same machine.

    python benchmarks/bakeoff.py FASHION --dir TRIES --seconds 300
    python benchmarks/bakeoff.py FASHION --dir TRIES --report

First the tries take training steps in turn, for several rounds; the median seconds per sample of each decide how many
samples it may train on. Then each is trained and measured: Fréchet distance in the pinned features to the 60,000 pictures
trained on, for every average of the weights and two strengths of guidance. What is finished is kept in DIR, so it goes on
where it was stopped.
"""

import argparse
import json
import tomllib
from functools import partial
from pathlib import Path
from shutil import rmtree
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality import as_stored, kept, real_features, restore

from pellucid.comparison.speed import time_steps
from pellucid.evaluation.fashion import FashionFeatures
from pellucid.evaluation.history import History
from pellucid.metrics.frechet import Frechet
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.state import checkpoints

TRIES = Path(__file__).with_suffix(".toml")
GUIDANCE = (1.0, 1.5)
COMMON = ("training.checkpoint_minutes=60", "training.evaluate=false", "training.log_samples=6400")

Array = NDArray[np.float64]


def main() -> None:
    parser = argparse.ArgumentParser(description="Train and measure every try at equal cost.")
    parser.add_argument("data", type=Path, help="the folder of Fashion-MNIST's IDX files")
    parser.add_argument("--dir", type=Path, required=True, help="where results are kept")
    parser.add_argument("--seconds", type=float, default=300, help="of training for each")
    parser.add_argument("-n", type=int, default=2000, help="samples to measure")
    parser.add_argument("--report", action="store_true", help="print what is finished")
    asked = parser.parse_args()
    tries: dict[str, list[str]] = tomllib.loads(TRIES.read_text(encoding="utf-8"))["tries"]
    if not asked.report:
        common = [f"data.path={asked.data.absolute()}", *COMMON, *tries["base"]]
        configs = {name: apply_settings(RunConfig(), [*common, *own]) for name, own in tries.items()}
        seconds = kept(asked.dir / "seconds.json", lambda: time_steps(configs))
        for name, config in configs.items():
            kept(asked.dir / f"{name}.json", partial(trained, name, config, median(seconds[name]), asked))
    print(table(asked.dir, tries))


def trained(name: str, config: RunConfig, each: float, asked: argparse.Namespace) -> dict[str, Any]:
    """The run of one try, and what it was worth."""
    folder = asked.dir / name
    samples = max(1, round(asked.seconds / each / config.training.batch)) * config.training.batch
    training = config.training.model_copy(update={"samples": samples})
    model = run(config.model_copy(update={"training": training}), folder, resume=folder.is_dir())
    network = FashionFeatures.load()
    real = np.asarray(kept(asked.dir / "real.json", lambda: real_features(network, model, folder / "data").tolist()))
    last = checkpoints(folder / "checkpoints")[-1]
    found = {}
    for width in training.ema:
        restore(model, last, width)
        found[f"{width:g}"] = {f"{weight:g}": distance(model, network, real, weight, asked.n) for weight in GUIDANCE}
    loss = History.read(folder / "log.jsonl").column("train", "loss")
    rmtree(folder)
    return {"samples": samples, "seconds": each * samples, "loss": float(loss[-5:].mean()), "distances": found, "n": asked.n}


def distance(model: Model, network: FashionFeatures, real: Array, guidance: float, n: int) -> float:
    made = model.sample(n, label="all", seed=1, batch=250, guidance=guidance)
    ours = network.features(as_stored(model, made.data))
    return float(Frechet().measure(real, ours, np.ones((1, n)))[0])


def table(folder: Path, tries: dict[str, list[str]]) -> str:
    """For each try its best average of the weights."""
    lines = ["| try | settings | samples | loss | average | " + " | ".join(f"guidance {w:g}" for w in GUIDANCE) + " |"]
    lines.append("| --- " * (5 + len(GUIDANCE)) + "|")
    for name, settings in tries.items():
        if (folder / f"{name}.json").is_file():
            found = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
            width, best = min(found["distances"].items(), key=lambda item: min(item[1].values()))
            figures = " | ".join(f"{value:.2f}" for value in best.values())
            shown = " ".join(settings)
            lines.append(f"| {name} | `{shown}` | {found['samples']:,} | {found['loss']:.4f} | {width} | {figures} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
