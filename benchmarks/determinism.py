"""What is the same to the last bit and what is not: sampling and training, one thing changed at a time.

    python benchmarks/determinism.py --out records/determinism.md

Each cell is the largest absolute difference between a run in which one thing was changed and the run in the other column,
of sample values before they are rounded to float32, or of all weights in the model file. `PROMISES` says how large it may
be, here and in tests/test_determinism.py. Sampling is of 56 pictures of 28 x 28 under guidance, from networks without a zero
weight; training is on Fashion-MNIST in batches of 56, and two ranks are torchrun's, over gloo.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch starts its threads: the machine may be busy

import torch
from batch import DTYPES, Recorder, filled
from resume import ROOT, machine, tell
from safetensors.torch import load_file
from torch import Tensor

from pellucid.core.errors import InterruptedRunError
from pellucid.data.write import write_pack
from pellucid.interop.engine import ENGINES, accelerate
from pellucid.modalities.image import Image
from pellucid.model.model import Model
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

PROMISES: dict[str, dict[str, float]] = {
    "float32": {"again": 0, "resume": 0, "process": 0, "batch": 1e-4, "threads": 1e-4, "ranks": 1e-4, "engine": 1e-4,
                "precision": 1e-3},
    "float64": {"again": 0, "resume": 0, "process": 0, "batch": 1e-9, "threads": 1e-9, "ranks": 1e-9},
}  # fmt: skip
"""How far what is changed may lead; 0 is bit for bit. Precision is float32 against float64, and engines are float32's alone.
Pictures lie between -1 and 1, where a grey level is 8e-3 wide, and weights are of that order too."""
COUNT = 56
"""Samples drawn, and of a batch in training: it is parted by 1, 7 and 2."""
TRAINING = ("training.evaluate=false", "sampling.steps=2", f"training.batch={COUNT}", "training.warmup=560",
            "training.checkpoint_samples=1000000")  # fmt: skip
UNET = ("network.name=unet", "network.size=tiny")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A difference that was found.

    Attributes:
        changed: the row of PROMISES.
        how: what was changed, and against what.
    """

    task: str
    changed: str
    how: str
    dtype: str
    difference: float

    @property
    def promise(self) -> float:
        return PROMISES[self.dtype][self.changed]

    @property
    def kept(self) -> bool:
        return self.difference <= self.promise


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure what is the same to the last bit, and what is not.")
    parser.add_argument("--steps", type=int, default=12, help="of training")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    began, cells = perf_counter(), list[Cell]()
    for cell in everything(asked.steps):
        cells.append(cell)
        tell(f"{perf_counter() - began:.0f} s: {cell.task}, {cell.dtype}, {cell.how}: {cell.difference:.1e}")
    record = as_markdown(asked, cells, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if all(cell.kept for cell in cells) else 1)


def everything(steps: int) -> Iterator[Cell]:
    for network in ("unet", "transformer"):
        yield from sampling(network)
    with TemporaryDirectory() as folder:
        write_pack(Image().read(ROOT / "data" / "fashion-mnist"), data := Path(folder) / "data")
        yield from training(Path(folder), data, steps, UNET)


# --------------------------------------------------------------------------------------------------------------- sampling


def sampling(network: str, processes: Sequence[str] = tuple(DTYPES), count: int = COUNT) -> Iterator[Cell]:
    """All cells of sampling, those of several processes in some precisions."""
    task, wholes = f"sampling, {network}", dict[str, Tensor]()
    for dtype in DTYPES:
        model = filled(network, dtype)

        def cell(changed: str, how: str, one: Tensor, other: Tensor, dtype: str = dtype) -> Cell:
            return Cell(task=task, changed=changed, how=how, dtype=dtype, difference=farthest(one, other))

        wholes[dtype] = whole = drawn(model, range(count))
        yield cell("again", "once more", drawn(model, range(count)), whole)
        for batch in (1, 7):
            yield cell("batch", f"in batches of {batch}, not of {count}", drawn(model, range(count), batch=batch), whole)
        yield cell("threads", "2 threads, not 1", drawn(model, range(count), threads=2), whole)
        halves = drawn(model, range(count), batch=count // 2)
        later = drawn(model, range(count // 2, count))
        yield cell("resume", "only the second half, by its keys", later, halves[count // 2 :])
        if dtype in processes:
            yield cell("process", "halves in 2 processes, not one after the other", apart(network, dtype, count), halves)
    gap = farthest(wholes["float32"], wholes["float64"])
    yield Cell(task=task, changed="precision", how="float32, not float64", dtype="float32", difference=gap)
    for kind in ENGINES:
        accelerated = filled(network, "float32")
        accelerate(accelerated, kind, rows=8)  # type: ignore[arg-type]  # one of ENGINES
        gap = farthest(drawn(accelerated, range(count)), wholes["float32"])
        yield Cell(task=task, changed="engine", how=f"{kind}, not torch", dtype="float32", difference=gap)


def drawn(model: Model, ids: range, *, batch: int = 0, threads: int = 1) -> Tensor:
    """The samples of these ids, all at once unless a batch is named, before they are made float32."""
    recorder = Recorder()
    model.codec = recorder
    labels = [model.facts.labels[i % len(model.facts.labels)] for i in ids]
    with threads_of(threads):
        keys = [(0, i) for i in ids]
        model.sample(len(ids), label=labels, keys=keys, guidance=2.5, sampler="heun", steps=4, batch=batch or len(ids))
    return torch.cat(recorder.seen)


def apart(network: str, dtype: str, count: int) -> Tensor:
    """Both halves, each by a process of its own that makes the model anew."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return torch.cat(list(pool.map(_half, 2 * [network], 2 * [dtype], (range(count // 2), range(count // 2, count)))))


def _half(network: str, dtype: str, ids: range) -> Tensor:
    return drawn(filled(network, dtype), ids)


# --------------------------------------------------------------------------------------------------------------- training


def training(
    folder: Path, data: Path, steps: int, network: Sequence[str], processes: Sequence[str] = tuple(DTYPES), seed: int = 0
) -> Iterator[Cell]:
    """All cells of training, those of several processes in some precisions; a seed draws when a run is stopped."""
    moment, wholes = random.Random(seed).randrange(1, steps), dict[str, Tensor]()
    for dtype in DTYPES:
        length = [f"training.precision={dtype}", f"training.samples={steps * COUNT}"]
        settings = [f"data.path={data}", *network, *TRAINING, *length]
        runs = Runs(folder / dtype, apply_settings(RunConfig(), settings))
        wholes[dtype] = whole = runs.weights("whole")

        def cell(changed: str, how: str, weights: Tensor, dtype: str = dtype, whole: Tensor = whole) -> Cell:
            return Cell(task="training", changed=changed, how=how, dtype=dtype, difference=farthest(weights, whole))

        yield cell("again", "once more", runs.weights("again"))
        yield cell("resume", f"interrupted after {moment} of {steps} steps", runs.weights("resumed", stop=moment * COUNT))
        for part in (1, 7):
            parts = runs.weights(f"parts-{part}", f"training.micro_batch={part}")
            yield cell("batch", f"batches in parts of {part}, not whole", parts)
        yield cell("threads", "2 threads, not 1", runs.weights("threads", threads=2))
        if dtype in processes:
            yield cell("ranks", "2 ranks, not 1", runs.weights_of_ranks("ranks", 2))
    gap = farthest(wholes["float32"], wholes["float64"])
    yield Cell(task="training", changed="precision", how="float32, not float64", dtype="float32", difference=gap)


@dataclass(frozen=True)
class Runs:
    """Runs that are to end in the same weights, in folders of `home`."""

    home: Path
    config: RunConfig

    def weights(self, name: str, *changes: str, threads: int = 1, stop: int = 0) -> Tensor:
        """Of a run in this process, which is interrupted after `stop` samples and goes on."""
        out, config = self.home / name, apply_settings(self.config, list(changes))
        with threads_of(threads):
            if stop:
                with suppress(InterruptedRunError):
                    run(config, out, observer=Stop(stop))
            run(config, out, resume=bool(stop))
        return weights(out)

    def weights_of_ranks(self, name: str, ranks: int) -> Tensor:
        """Of the command, as torchrun starts it."""
        out, recipe = self.home / name, self.home / "recipe.toml"
        self.config.save(recipe)
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)]
        words = ["-m", "pellucid", "train", self.config.data.path, "--out", str(out), "--recipe", str(recipe)]
        words += ["--samples", str(self.config.training.samples)]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run([*torchrun, *words], env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"training by {ranks} ranks ended with exit code {done.returncode}:\n{done.stderr}")
        return weights(out)


@dataclass
class Stop:
    """An observer that has its own process stopped, as SIGTERM would, after so many samples."""

    at: int

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:
        pass

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:  # noqa: ARG002
        if state.seen == self.at:
            os.kill(os.getpid(), signal.SIGTERM)


def weights(out: Path) -> Tensor:
    """All of a model file, in float64, end to end."""
    tensors = load_file(out / "model.safetensors")
    return torch.cat([tensors[name].double().flatten() for name in sorted(tensors)])


@contextmanager
def threads_of(count: int) -> Iterator[None]:
    """So many threads while the block lasts."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def farthest(one: Tensor, other: Tensor) -> float:
    """The largest absolute difference; infinite where one is not a number."""
    return float((one.double() - other.double()).abs().nan_to_num(nan=torch.inf).max())


# ----------------------------------------------------------------------------------------------------------------- record


def as_markdown(asked: argparse.Namespace, cells: Sequence[Cell], seconds: float) -> str:
    broken = sum(not cell.kept for cell in cells)
    out = "" if asked.out is None else f" --out {asked.out.name if asked.out.is_absolute() else asked.out.as_posix()}"
    steps = "" if asked.steps == 12 else f" --steps {asked.steps}"
    return "\n".join([
        "# What is the same to the last bit",
        "",
        f"All promises kept: **{'yes' if not broken else f'NO, {broken} are not'}**. Largest absolute differences of "
        f"sample values ({COUNT} pictures, 4 steps of Heun, guidance 2.5) and of weights ({asked.steps} steps in batches of "
        f"{COUNT}, tiny U-Net, Muon). 0 is bit for bit.",
        "",
        "| what | changed | float32 | promised | float64 | promised | kept |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *_rows(cells),
        "",
        "Sampling knows no ranks: each process draws the samples whose keys it is given. Training is done by torch alone.",
        "",
        f"- command: `python benchmarks/determinism.py{steps}{out}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {seconds:.0f} s",
        "",
    ])


def _rows(cells: Sequence[Cell]) -> Iterator[str]:
    """One for both precisions."""
    for task, how in dict.fromkeys((cell.task, cell.how) for cell in cells):
        same = {cell.dtype: cell for cell in cells if (cell.task, cell.how) == (task, how)}
        found = [f"{_figure(same[dtype].difference)} | {_figure(same[dtype].promise)}" if dtype in same else " | "
                 for dtype in ("float32", "float64")]  # fmt: skip
        kept = "yes" if all(cell.kept for cell in same.values()) else "**NO**"
        yield f"| {task} | {how} | {' | '.join(found)} | {kept} |"


def _figure(value: float) -> str:
    return "0" if value == 0 else f"{value:.1e}"


if __name__ == "__main__":
    main()
