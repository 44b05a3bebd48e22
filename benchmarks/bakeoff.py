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
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quality import as_stored, kept, real_features, restore

from pellucid.evaluation.fashion import FashionFeatures
from pellucid.evaluation.history import History
from pellucid.metrics.frechet import Frechet
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings, settled
from pellucid.training.journal import Journal
from pellucid.training.loop import assemble, run
from pellucid.training.prepare import prepare
from pellucid.training.state import checkpoints
from pellucid.training.steps import Steps

TRIES = Path(__file__).with_suffix(".toml")
ROUNDS, STEPS = 5, 3
"""Of timing, and steps of each in a round, after one to warm up."""
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
        seconds = kept(asked.dir / "seconds.json", lambda: timed(configs))
        for name, config in configs.items():
            kept(asked.dir / f"{name}.json", partial(trained, name, config, seconds[name], asked))
    print(table(asked.dir, tries))


def timed(configs: dict[str, RunConfig]) -> dict[str, float]:
    """Seconds per sample of each, from steps taken in turn."""
    times: dict[str, list[float]] = {name: [] for name in configs}
    with TemporaryDirectory() as folder:
        steps = {name: started(config, Path(folder)) for name, config in configs.items()}
        for _ in range(ROUNDS):
            for name, each in steps.items():
                each.step()
                for _ in range(STEPS):
                    start = perf_counter()
                    each.step()
                    times[name].append((perf_counter() - start) / each.config.batch)
    return {name: median(found) for name, found in times.items()}


def started(config: RunConfig, folder: Path) -> Steps:
    """A run that has not begun, on a pack that all share."""
    length = config.training.model_copy(update={"samples": 1_000_000})
    config = settled(config.model_copy(update={"training": length}), "cpu")
    _, state, batches = assemble(config, prepare(config, folder / "data"))
    return Steps(config.training, state, batches, folder, "", Journal(folder, 0))


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
