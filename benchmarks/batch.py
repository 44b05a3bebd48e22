"""How little a result depends on what shares the batch, measured in float64 and float32.

    python benchmarks/batch.py --out records/batch.md

Sampling: 64 samples at once against one by one, under guidance, from networks without a zero weight. Training: 50 steps on
Fashion-MNIST with batches of 64 whole against four parts of 16, with each optimiser. Largest absolute differences.
"""

import argparse
import sys
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import torch
from resume import ROOT, machine
from torch import Tensor

from pellucid.codecs.identity import Identity
from pellucid.core.random import Key
from pellucid.model.config import Facts, ModelConfig
from pellucid.model.model import Model
from pellucid.networks import networks
from pellucid.training import optimisers
from pellucid.training.config import RunConfig, apply_settings
from pellucid.training.loop import run
from pellucid.training.prepare import Prepared
from pellucid.training.state import TrainingState

DTYPES = {"float64": torch.float64, "float32": torch.float32}
BARS = {"float64": 1e-9, "float32": 1e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how much results depend on the batch.")
    parser.add_argument("--steps", type=int, default=50, help="of training")
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    began = perf_counter()
    rows: list[tuple[str, float, float]] = []
    for network in networks:
        for sampler in ("heun", "ancestral"):
            wide, narrow = (sampling(network, sampler, dtype) for dtype in DTYPES)
            rows.append((f"sampling, {network}, {sampler}", wide, narrow))
    for optimiser in optimisers:
        wide, narrow = (training(optimiser, dtype, asked.steps) for dtype in DTYPES)
        rows.append((f"training, unet, {optimiser}", wide, narrow))
    record = as_markdown(asked, rows, perf_counter() - began)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if kept(rows) else 1)


class Recorder(Identity):
    """A codec that keeps what it decodes, before samples are made float32."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def decode(self, z: Tensor) -> Tensor:
        self.seen.append(z)
        return z


def filled(network: str, dtype: str) -> Model:
    """A model of pictures of 28 x 28 in ten classes, with weights from nothing but their names, none of them zero."""
    made = Model.create(ModelConfig(network={"name": network}), Facts(shape=(1, 28, 28), labels=tuple("abcdefghij")))
    with torch.no_grad():
        for name, parameter in made.denoiser.named_parameters():
            if not parameter.any():
                identity = int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
                parameter.copy_(0.3 * Key(0, "benchmark").normal([identity], parameter.shape)[0] / len(parameter) ** 0.5)
    made.denoiser.to(DTYPES[dtype]).eval().requires_grad_(False)
    return made


def sampling(network: str, sampler: str, dtype: str) -> float:
    """64 at once against one by one; guidance 2.5, 8 steps."""
    made, found = filled(network, dtype), []
    for batch in (64, 1):
        made.codec = Recorder()
        made.sample(64, label="all", guidance=2.5, sampler=sampler, steps=8, batch=batch)
        found.append(torch.cat(made.codec.seen))
    return float((found[0] - found[1]).abs().max())


class Last:
    """An observer that keeps the state of training."""

    def begin(self, prepared: Prepared, model: Model, state: TrainingState) -> None:  # noqa: ARG002
        self.state = state

    def step(self, state: TrainingState, loss: float, samples_per_second: float) -> None:
        pass


def training(optimiser: str, dtype: str, steps: int) -> float:
    """1 x 64 against 4 x 16."""
    ends: list[dict[str, Any]] = []
    for part in (64, 16):
        settings = [
            f"data.path={ROOT / 'data' / 'fashion-mnist'}", f"training.samples={64 * steps}", "training.warmup=640",
            f"optimiser.name={optimiser}", f"training.precision={dtype}", f"training.micro_batch={part}",
        ]  # fmt: skip
        last = Last()
        with TemporaryDirectory() as folder:
            run(apply_settings(RunConfig(), settings), folder, observer=last)
        ends.append(last.state.loss.state_dict())
    return max(float((value - ends[1][name]).abs().max()) for name, value in ends[0].items())


def kept(rows: list[tuple[str, float, float]]) -> bool:
    return all(gap <= bar for _, *gaps in rows for gap, bar in zip(gaps, BARS.values(), strict=True))


def as_markdown(asked: argparse.Namespace, rows: list[tuple[str, float, float]], seconds: float) -> str:
    out = "" if asked.out is None else f" --out {asked.out.name if asked.out.is_absolute() else asked.out.as_posix()}"
    steps = "" if asked.steps == 50 else f" --steps {asked.steps}"
    return "\n".join([
        "# Alone and in a batch",
        "",
        f"Within 1e-9 in float64 and 1e-3 in float32: **{'yes' if kept(rows) else 'NO'}**. Largest absolute differences of "
        "sample values (64 at once against one by one, guidance 2.5) and of weights after "
        f"{asked.steps} steps (1 x 64 against 4 x 16):",
        "",
        "| what | float64 | float32 |",
        "|---|---|---|",
        *(f"| {name} | {double:.1e} | {single:.1e} |" for name, double, single in rows),
        "",
        f"- command: `python benchmarks/batch.py{steps}{out}`",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        f"- time: {seconds:.0f} s",
        "",
    ])


if __name__ == "__main__":
    main()
