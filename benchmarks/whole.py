"""The same weights on both sides, diffusers' and ours: pictures per second at equal quality, and seconds of a large step.

    whole.py train   --dir DIR --data FASHION --samples 80000  a small pipeline of diffusers, trained by ours
    whole.py measure --dir DIR --data FASHION [--rounds 15]    the fewest calls at which a side is good, and its speed
    whole.py step    --dir DIR [--rounds 5] [--size tiny]      a denoising step of a network of Stable Diffusion's size
    whole.py record  --dir DIR --out records/whole.md

FASHION is a folder with train-images-idx3-ubyte.gz, 60,000 pictures. Quality is the Fréchet distance of 2,000 pictures to
all of them in the pinned features; good is at most 1.1 times that of the teacher, our Heun in 25 steps, 49 calls. Numbers of
calls are tried upwards until one of a side's ways is good: diffusers' samplers, each on several grids, with x0 clipped and
not, and our own with a solver learned anew for each number. All begin from the same noise, and what was chosen by one noise
is measured with another. Speed is of whole calls, noise to pictures; everybody takes turns, so that all meet the same
machine, and ratios are of one round. `--threads` sets the cores of everybody.

All state is under DIR. ONNX Runtime's graph of the large network takes 4 GB of the cache and, while it is made, 14 of
memory: `--names` leaves it out. Where the processor has bfloat16, both sides are measured in it too ("half").
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from sides.measure import measure as measure_small
from sides.small import train_pipeline
from sides.step import NAMES, SIZES
from sides.step import measure as measure_step
from sides.table import as_markdown

from pellucid.core.files import atomic_write

SMALL, STEP = "small.json", "step.json"


def main() -> None:
    asked = _arguments()
    if getattr(asked, "threads", None):
        torch.set_num_threads(asked.threads)
    {"train": train, "measure": measure, "step": step, "record": record}[asked.command](asked)


def train(asked: argparse.Namespace) -> None:
    """DIR/run, whose pipeline both sides load; goes on where it was stopped."""
    length = ["--minutes", str(asked.minutes)] if asked.samples is None else ["--samples", str(asked.samples)]
    sys.exit(train_pipeline(asked.dir, asked.data, length))


def measure(asked: argparse.Namespace) -> None:
    """DIR/small.json; distances that are there are kept, speed is measured again."""
    folder = asked.dir / "run" / "pipeline"
    found = measure_small(folder, asked.data, asked.dir / SMALL, n=asked.n, rounds=asked.rounds, batch=asked.batch)
    print(json.dumps({"winners": found["winners"], "speed": found["speed"]}, indent=1))


def step(asked: argparse.Namespace) -> None:
    """DIR/step.json."""
    found = measure_step(asked.size, asked.names, rounds=asked.rounds, steps=asked.steps)
    with atomic_write(asked.dir / STEP) as temporary:
        temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")


def record(asked: argparse.Namespace) -> None:
    """The record of what is in DIR."""
    small, large = (json.loads((asked.dir / name).read_text(encoding="utf-8")) for name in (SMALL, STEP))
    text = as_markdown(small, large)
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare drawing with diffusers, the weights being the same.")
    commands = parser.add_subparsers(dest="command", required=True)
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--dir", type=Path, required=True, help="where all state is kept")
    data = argparse.ArgumentParser(add_help=False)
    data.add_argument("--data", type=Path, required=True, help="the pictures")
    cores = argparse.ArgumentParser(add_help=False)
    cores.add_argument("--threads", type=int, default=None, help="of everybody; by default as many as torch takes")
    training = commands.add_parser("train", parents=[place, data], help="train the small pipeline")
    length = training.add_mutually_exclusive_group(required=True)
    length.add_argument("--minutes", type=float)
    length.add_argument("--samples", type=int)
    measuring = commands.add_parser("measure", parents=[place, data, cores], help="the fewest calls, and the speed")
    measuring.add_argument("-n", type=int, default=2000)
    measuring.add_argument("--batch", type=int, default=64, help="of the calls whose speed is measured")
    measuring.add_argument("--rounds", type=int, default=15)
    stepping = commands.add_parser("step", parents=[place, cores], help="seconds of a large network's step")
    stepping.add_argument("--size", choices=SIZES, default="sd")
    stepping.add_argument("--names", nargs="+", choices=NAMES, default=list(NAMES))
    stepping.add_argument("--steps", type=int, default=3, help="of each call; all but the first are timed")
    stepping.add_argument("--rounds", type=int, default=5)
    recording = commands.add_parser("record", parents=[place], help="write the record")
    recording.add_argument("--out", type=Path, default=Path("records/whole.md"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
