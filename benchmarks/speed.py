"""How much of the machine's matrix rate training uses, beside diffusers' U-Net; and whole training loops on one network.

    python benchmarks/speed.py --out records/speed.md

The share is FLOPs / seconds / rate: FLOPs of a forward and backward pass as torch's FlopCounterMode counts them, the rate
that of the better of a 1,024 and a 2,048 square float32 product, measured in each round with the same threads. Where the
CPU multiplies in bfloat16, training does so by default, and a share may exceed 1; float32 is told beside it. The loops are
whole steps, data to averaged weights, on the U-Net of the recipe fashion-mnist: ours, with AdamW as the peers have it and
with the recipe's Muon, and those of diffusers' example and denoising-diffusion-pytorch's README (contenders/). A round takes
every contender in turn, so all of them meet the same machine; figures are medians over rounds with their range.
"""

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from contenders.speed import measure as measure_steps
from numpy.typing import NDArray
from resume import machine
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from pellucid.core.precision import has_bfloat16
from pellucid.denoisers.predicting import Predicting
from pellucid.losses.denoising import DenoisingLoss
from pellucid.losses.weighting import Plain
from pellucid.model.config import Facts, ModelConfig, Section
from pellucid.model.model import Model

NETWORKS: dict[str, Section] = {
    "transformer, small": {"name": "transformer", "size": "small"},
    "U-Net, tiny (the default)": {"name": "unet"},
    "U-Net, small": {"name": "unet", "size": "small"},
}
TRANSFORMER, UNET, *_ = NETWORKS
PEER = "diffusers U-Net (64, 128, 256)"
OURS = ("pellucid-adamw", "pellucid-adamw-float32", "pellucid")
LOOPS = (*OURS, "diffusers-recipe", "ddpm-recipe")
PRECISION = "bfloat16" if has_bfloat16("cpu") else "float32"
"""What training computes in here unless it is told otherwise."""


@dataclass(frozen=True, kw_only=True)
class Contender:
    """A forward and backward pass of `batch` samples, of `flops` in all."""

    name: str
    batch: int
    parameters: int
    flops: int
    step: Callable[[], None]


@dataclass(frozen=True, kw_only=True)
class Timing:
    """One entry a round: samples per second, and the share of the matrix rate of the same round."""

    contender: Contender
    speeds: list[float]
    shares: list[float]


@dataclass(frozen=True)
class Bar:
    """A claim, the least it may be, and what it is: as training runs here, and with everybody in float32."""

    claim: str
    least: float
    here: float | None
    plain: float | None

    @property
    def kept(self) -> bool:
        return self.here is not None and self.here >= self.least


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the share of the matrix rate that training uses.")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--out", type=Path, default=None, help="the record, as Markdown")
    asked = parser.parse_args()
    timings = measure(contenders(), asked.rounds)
    loops = {name: found["seconds"] for name, found in measure_loops(asked.rounds).items()}
    record = as_markdown(asked, timings, loops)
    if asked.out is not None:
        asked.out.parent.mkdir(parents=True, exist_ok=True)
        asked.out.write_text(record, encoding="utf-8")
    print(record)
    sys.exit(0 if all(bar.kept for bar in bars(timings, loops)) else 1)


def contenders() -> list[Contender]:
    """28 x 28 grey with labels for ours; 32 x 32, which the halvings of its levels need, for the peer's."""
    precisions = sorted({"float32", PRECISION})
    found = [ours(name, precision) for name in NETWORKS for precision in precisions]
    return [*found, *(diffusers_unet(precision) for precision in precisions)]


def ours(name: str, precision: str, batch: int = 64) -> Contender:
    """A network of ours under its loss, as training runs it."""
    network = NETWORKS[name]
    model = Model.create(ModelConfig(network=network), Facts(shape=(1, 28, 28), labels=tuple("abcdefghij")))
    assert isinstance(model.denoiser, Predicting)
    loss = DenoisingLoss(denoiser=model.denoiser, weighting=Plain())
    x0, eps, t = torch.randn(batch, 1, 28, 28), torch.randn(batch, 1, 28, 28), torch.rand(batch, dtype=torch.float64)
    cond = {"label": torch.arange(batch) % 10}

    return contender(f"{name}, {precision}", batch, loss, lambda: loss(x0, t, eps, cond).weighted.mean())


def diffusers_unet(precision: str, batch: int = 16) -> Contender:
    """The peer's network with its own loss, in the memory layout that it comes with."""
    import diffusers

    build: Any = diffusers.UNet2DModel
    network = build(
        sample_size=32, in_channels=1, out_channels=1, block_out_channels=(64, 128, 256),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    x, noise, steps = torch.randn(batch, 1, 32, 32), torch.randn(batch, 1, 32, 32), torch.arange(batch)
    return contender(f"{PEER}, {precision}", batch, network, lambda: ((network(x, steps).sample - noise) ** 2).mean())


def contender(name: str, batch: int, module: torch.nn.Module, loss: Callable[[], Tensor]) -> Contender:
    def step() -> None:
        module.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=name.endswith("bfloat16")):
            value = loss()
        value.backward()  # type: ignore[no-untyped-call]

    with FlopCounterMode(display=False) as counter:
        step()
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Contender(name=name, batch=batch, parameters=parameters, flops=counter.get_total_flops(), step=step)


def matrix_rate(seconds: float = 0.3) -> float:
    """FLOP/s of the better of two square float32 products, each at its best over about half of `seconds`."""
    return max(2 * n**3 / min(timed(torch.randn(n, n), seconds / 2)) for n in (1024, 2048))


def timed(x: Tensor, seconds: float) -> list[float]:
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = perf_counter()
        x @ x
        times.append(perf_counter() - start)
    return times


def measure(field: list[Contender], rounds: int) -> list[Timing]:
    """Every contender once a round: one step to warm up, then the median of three."""
    timings = [Timing(contender=contender, speeds=[], shares=[]) for contender in field]
    for _ in range(rounds):
        for timing in timings:
            rate, times = matrix_rate(), []
            for _ in range(4):
                start = perf_counter()
                timing.contender.step()
                times.append(perf_counter() - start)
            seconds = median(times[1:])
            rate = max(rate, matrix_rate())
            timing.speeds.append(timing.contender.batch / seconds)
            timing.shares.append(timing.contender.flops / seconds / rate)
    return timings


def measure_loops(rounds: int) -> dict[str, Any]:
    """Seconds per sample of whole steps; without denoising-diffusion-pytorch, of the others."""
    names = [name for name in LOOPS if "ddpm" not in name or find_spec("denoising_diffusion_pytorch")]
    return measure_steps(names, random_pictures(), rounds=rounds, seconds=2.0)


def random_pictures() -> NDArray[np.uint8]:
    """As many bytes as training needs, whatever they show."""
    return np.random.default_rng(0).integers(0, 256, (4096, 28, 28), np.uint8)


def bars(timings: list[Timing], loops: dict[str, list[float]]) -> list[Bar]:
    """Each as training runs here, the peers as they come, and with everybody in float32."""
    share = {timing.contender.name: median(timing.shares) for timing in timings}
    seconds = {name: median(found) for name, found in loops.items()}
    peer = min(found for name, found in seconds.items() if name not in OURS)
    here, plain = PRECISION, "float32"
    return [
        Bar("share of the matrix rate, transformer", 0.75, *(share.get(f"{TRANSFORMER}, {kind}") for kind in (here, plain))),
        Bar(
            "share of the default U-Net, that of diffusers' being 1", 1.3,
            *(_over(share.get(f"{UNET}, {kind}"), share[f"{PEER}, {plain}"]) for kind in (here, plain)),
        ),
        Bar(
            "speed of our loop with AdamW, the faster peer's being 1", 1.5,
            *(_over(peer, seconds.get(name)) for name in OURS[:2]),
        ),
    ]  # fmt: skip


def _over(value: float | None, unit: float | None) -> float | None:
    return None if value is None or unit is None else value / unit


def as_markdown(asked: argparse.Namespace, timings: list[Timing], loops: dict[str, list[float]]) -> str:
    out = "" if asked.out is None else f" --out {asked.out.name if asked.out.is_absolute() else asked.out.as_posix()}"
    return "\n".join([
        "# Share of the matrix rate in training",
        "",
        f"Training runs in {PRECISION} here unless told otherwise, the peers in float32 as they come. The matrix rate is "
        "that of float32.",
        "",
        "| | bar | as it comes | kept | everybody in float32 |",
        "|---|---|---|---|---|",
        *(
            f"| {bar.claim} | {bar.least} | {_told(bar.here)} | {'yes' if bar.kept else 'NO'} | {_told(bar.plain)} |"
            for bar in bars(timings, loops)
        ),
        "",
        "| network | parameters | GFLOP per sample, forward and backward | samples/s | share of the matrix rate | range |",
        "|---|---|---|---|---|---|",
        *map(_row, timings),
        "",
        "| training loop, on the recipe's network | samples/s | range | time, ours with AdamW being 1 |",
        "|---|---|---|---|",
        *(_loop_row(name, seconds, loops[OURS[0]]) for name, seconds in loops.items()),
        "",
        f"- command: `python benchmarks/speed.py{out}`",
        f"- rounds: {asked.rounds}, interleaved, {torch.get_num_threads()} threads",
        f"- date: {datetime.now(UTC):%Y-%m-%d}",
        *machine(),
        "",
    ])


def _row(timing: Timing) -> str:
    seen, shares = timing.contender, timing.shares
    return (
        f"| {seen.name} | {seen.parameters / 1e6:.1f}M | {seen.flops / seen.batch / 1e9:.2f} | {median(timing.speeds):.0f} "
        f"| {median(shares):.2f} | {min(shares):.2f} to {max(shares):.2f} |"
    )


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _loop_row(name: str, seconds: list[float], ours: list[float]) -> str:
    ratio = median(theirs / own for theirs, own in zip(seconds, ours, strict=True))
    return f"| {name} | {1 / median(seconds):.0f} | {1 / max(seconds):.0f} to {1 / min(seconds):.0f} | {ratio:.2f} |"


if __name__ == "__main__":
    main()
