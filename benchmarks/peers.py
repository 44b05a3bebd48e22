"""Against peers: the quality that an hour's cost buys, by diffusers' example, denoising-diffusion-pytorch's README and ours.

    peers.py time    --data FASHION --dir DIR                          seconds per sample of everybody, interleaved
    peers.py train   NAME --data FASHION --dir DIR --minutes-cost 60 [--leg-minutes 50]       as often as it takes
    peers.py sample  NAME --data FASHION --dir DIR --minutes-cost 60 [--at 3] [--leg-minutes 50]
    peers.py report  --data FASHION --dir DIR --out records/peers.md

Data: the 60,000 training pictures of Fashion-MNIST without labels; FASHION is a folder with train-images-idx3-ubyte.gz. Cost
is samples times the median seconds per sample of `time`, in which all take turns on the same machine, so neither a busy hour
nor a run in several sittings changes it. Recipes are in contenders/, each with what was adapted; NAME is a recipe on its own
network (pellucid, diffusers, ddpm), our recipe on a peer's network (diffusers-network, ddpm-network) or the peer's recipe on
ours (diffusers-recipe, ddpm-recipe). Each makes 2,000 pictures with 25 steps of DDIM from its averaged weights.

All state is under DIR, as safetensors and arrays. `diffusers` is in the extra dev; denoising-diffusion-pytorch is had by
`pip install --no-deps denoising-diffusion-pytorch einops ema-pytorch accelerate` where torchvision is not.
"""

import argparse
import json
import sys
from pathlib import Path
from statistics import median

import numpy as np
from contenders.field import FIELD, build_contender
from contenders.legs import Leg, samples_for
from contenders.speed import measure
from contenders.table import as_markdown
from numpy.typing import NDArray

from pellucid.core.files import atomic_write
from pellucid.modalities.arrays import ArrayFile

FILE = "train-images-idx3-ubyte.gz"
MARKS = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 45.0)
"""Minutes of cost at which our own model is kept on its way."""


def main() -> None:
    asked = _arguments()
    commands = {"time": time, "train": train, "sample": sample, "report": report}
    commands[asked.command](asked)


def time(asked: argparse.Namespace) -> None:
    """Everybody's speed, to DIR/speed.json."""
    found = measure(asked.names or list(FIELD), pictures(asked.data), rounds=asked.rounds, seconds=asked.seconds)
    with atomic_write(asked.dir / "speed.json") as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")
    for name, speed in found.items():
        each = speed["seconds"]
        print(f"{name:20s} {1 / median(each):8.1f} samples/s ({1 / max(each):.1f} to {1 / min(each):.1f})")


def train(asked: argparse.Namespace) -> None:
    """One leg of a training; exit 0 at its end, 3 where there is more to do."""
    leg = opened(asked)
    ended = leg.train(asked.leg_minutes)
    print(f"{asked.name}: {leg.contender.seen:,} samples, {leg.cost:.2f} of {asked.minutes_cost:g} minutes' cost")
    sys.exit(0 if ended else 3)


def sample(asked: argparse.Namespace) -> None:
    """Pictures from a trained contender; exit 0 when all are there, 3 where there is more to do."""
    made = opened(asked).sample(asked.at or asked.minutes_cost, asked.n, asked.batch, asked.leg_minutes)
    print(f"{asked.name}: {made:,} of {asked.n:,} pictures")
    sys.exit(0 if made == asked.n else 3)


def report(asked: argparse.Namespace) -> None:
    """The record of what is in DIR."""
    record = as_markdown(asked.dir, pictures(asked.data)[: asked.real], resamples=asked.resamples)
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(record, encoding="utf-8")
    print(record)


def opened(asked: argparse.Namespace) -> Leg:
    """The contender as `time` found it, in DIR/NAME/MINUTES."""
    try:
        each = median(json.loads((asked.dir / "speed.json").read_text(encoding="utf-8"))[asked.name]["seconds"])
    except (OSError, KeyError):
        sys.exit(f"{asked.name} has no speed in '{asked.dir / 'speed.json'}': run `peers.py time` first")
    folder = asked.dir / asked.name / f"{asked.minutes_cost:g}"
    samples = samples_for(asked.minutes_cost, each)
    contender = build_contender(asked.name, pictures(asked.data), samples, folder)
    marks = [mark for mark in MARKS if mark < asked.minutes_cost] if asked.name == "pellucid" else []
    return Leg(contender=contender, folder=folder, seconds=each, minutes=asked.minutes_cost, marks=marks)


def pictures(data: Path) -> NDArray[np.uint8]:
    """(60,000, 28, 28)."""
    if not (data / FILE).is_file():
        sys.exit(f"There is no {FILE} in '{data}': give the folder of Fashion-MNIST's training pictures")
    return np.stack(list(ArrayFile.open(data / FILE).rows()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare what an hour of training costs and gives, with peers.")
    commands = parser.add_subparsers(dest="command", required=True)
    places = argparse.ArgumentParser(add_help=False)
    places.add_argument("--data", type=Path, required=True, help="folder of Fashion-MNIST's training pictures")
    places.add_argument("--dir", type=Path, required=True, help="where all state is kept")
    one = argparse.ArgumentParser(add_help=False)
    one.add_argument("name", choices=FIELD, metavar="NAME", help=", ".join(FIELD))
    one.add_argument("--minutes-cost", type=float, default=60.0, help="length of the training, in minutes of cost")
    one.add_argument("--leg-minutes", type=float, default=float("inf"), help="stop after so many minutes by the clock")
    timing = commands.add_parser("time", parents=[places], help="measure everybody's speed")
    timing.add_argument("--names", nargs="+", choices=FIELD, default=None, help="only these")
    timing.add_argument("--rounds", type=int, default=5)
    timing.add_argument("--seconds", type=float, default=3.0, help="at least, for each in a round")
    commands.add_parser("train", parents=[places, one], help="train, or go on with it")
    sampling = commands.add_parser("sample", parents=[places, one], help="make pictures, or go on with it")
    sampling.add_argument("--at", type=float, default=None, help="minutes of cost on the way, of those kept")
    sampling.add_argument("-n", type=int, default=2000)
    sampling.add_argument("--batch", type=int, default=100)
    reporting = commands.add_parser("report", parents=[places], help="measure the pictures, write the record")
    reporting.add_argument("--real", type=int, default=10_000, help="training pictures that are compared with")
    reporting.add_argument("--resamples", type=int, default=50, help="behind each interval")
    reporting.add_argument("--out", type=Path, default=Path("records/peers.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
