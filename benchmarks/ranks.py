"""Ranks beside one process: the same weights, memory as planned, and how well two of them use two cores.

    ranks.py --out records/ranks.md [--samples 6400] [--rounds 5]

Weights: of one process and of 2 and 4 gloo ranks, with all of the model or with rows of it, and of 2 in network namespaces
of their own (which takes root and `ip`), after 100 steps on Fashion-MNIST at one global batch. Memory: the peak of each rank
on a large network, less that on a tiny one, beside what is planned. Speed: samples per second of two ranks with a thread
each, and of two processes that know nothing of each other, in turn.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from resume import machine
from safetensors.torch import load_file

from pellucid.core.files import atomic_write
from pellucid.model.model import Model

ROOT = Path(__file__).parent.parent
DATA = ROOT / "data" / "fashion-mnist"
EXACT, EFFICIENT = 1e-9, 0.9
"""Of float64 weights; of the speed of two processes."""
BRIEF = ("training.evaluate=false", "training.held_out=0", "sampling.steps=2")
LARGE = ("network.name=mlp", "network.width=2048", "network.depth=6")
SPACES, ADDRESS, PORT = ("pellucid-0", "pellucid-1"), "10.77.0.1", 29511
BYTES = {"weights": 4, "gradients": 4, "optimiser": 4, "average": 4}
"""Of a parameter in float32, with Muon, which remembers one number of a matrix's, and one average."""


@dataclass(frozen=True)
class Layout:
    """Who trains together."""

    size: int
    sharded: bool = False
    apart: bool = False

    @property
    def name(self) -> str:
        ranks = "1 process" if self.size == 1 else f"{self.size} ranks"
        return ranks + (", rows of the model each" if self.sharded else "") + (", namespaces apart" if self.apart else "")

    def commands(self) -> list[list[str]]:
        """What starts it, before the arguments of `pellucid`."""
        if self.size == 1:
            return [[sys.executable, "-m", "pellucid"]]
        run = [sys.executable, "-m", "torch.distributed.run"]
        if not self.apart:
            return [[*run, "--standalone", "--nproc-per-node", str(self.size), "-m", "pellucid"]]
        return [["ip", "netns", "exec", space, *run, "--nnodes", str(self.size), "--node-rank", str(rank), "--master-addr",
                 ADDRESS, "--master-port", str(PORT), "-m", "pellucid"] for rank, space in enumerate(SPACES)]  # fmt: skip


ONE = Layout(1)
LAYOUTS = (Layout(2), Layout(4), Layout(2, sharded=True), Layout(4, sharded=True), Layout(2, apart=True))


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure ranks beside one process.")
    parser.add_argument("--samples", type=int, default=6400)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("records/ranks.md"))
    asked = parser.parse_args()
    with TemporaryDirectory() as place:
        text = "\n".join([*record(asked, Path(place)), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def record(asked: argparse.Namespace, place: Path) -> Iterator[str]:
    began = perf_counter()
    weights = {kind: list(differences(kind, asked.samples, place)) for kind in ("float64", "float32")}
    speeds = list(rates(asked.rounds, 4 * asked.samples, place))
    memory = list(peaks(place))
    worst = max(difference for _, difference in weights["float64"])
    ratios = [together / apart for together, apart in speeds]
    yield "# Ranks\n"
    yield (f"- after {asked.samples // 64} steps weights of several ranks differ from those of one process by {worst:.1e} "
           f"at most in float64; at most {EXACT:g}: **{answer(worst <= EXACT)}**")
    yield (f"- two ranks with a thread each have {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) of the speed "
           f"of two processes; at least {EFFICIENT:g}: **{answer(median(ratios) >= EFFICIENT)}**")
    yield "\n## Weights\n\n| | float64 | float32 |\n|---|---|---|"
    for (layout, exact), (_, single) in zip(weights["float64"], weights["float32"], strict=True):
        yield f"| {layout.name} | {exact:.1e} | {single:.1e} |"
    yield "\n## Speed\n\nSamples a second, in turn.\n\n| two ranks | two processes, together |\n|---|---|"
    yield from (f"| {together:.0f} | {apart:.0f} |" for together, apart in speeds)
    yield from capacity(memory)
    yield "\n- command: in the docstring of benchmarks/ranks.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}\n- time: {perf_counter() - began:.0f} s"
    yield from machine()


def differences(precision: str, samples: int, place: Path) -> Iterator[tuple[Layout, float]]:
    """The largest of all weights."""
    wanted = [*BRIEF, f"training.precision={precision}"]
    train(ONE, place / f"{precision}-one", samples, wanted)
    whole = load_file(place / f"{precision}-one" / "model.safetensors")
    for number, layout in enumerate(LAYOUTS):
        out = place / f"{precision}-{number}"
        train(layout, out, samples, wanted)
        found = load_file(out / "model.safetensors")
        yield layout, max(float((found[name].double() - value.double()).abs().max()) for name, value in whole.items())


def rates(rounds: int, samples: int, place: Path) -> Iterator[tuple[float, float]]:
    """(of two ranks, of two processes together) in each round."""
    for turn in range(rounds):
        both = [place / f"both-{turn}-{one}" for one in range(2)]
        train(Layout(2), place / f"ranks-{turn}", samples, BRIEF)
        running = [started(ONE, out, samples // 2, [*BRIEF, "training.batch=32"]) for out in both]
        ended([process for processes in running for process in processes])
        yield rate(place / f"ranks-{turn}"), sum(rate(out) for out in both)


def rate(run: Path) -> float:
    """Samples a second after the first quarter."""
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    found: list[float] = [event["samples_per_second"] for event in lines if event["event"] == "train"]
    return median(found[len(found) // 4 :])


def peaks(place: Path) -> Iterator[tuple[Layout, int, float, float]]:
    """Parameters of the large network, and the largest rank's memory on it, less that on a tiny one, in MB: at most, and in
    the middle of training."""
    for number, layout in enumerate((ONE, *LAYOUTS[:-1])):
        small, large = place / f"small-{number}", place / f"large-{number}"
        least = watched(layout, small, ["network.name=mlp", "network.width=16", *BRIEF])
        most = watched(layout, large, [*LARGE, *BRIEF])
        count = sum(value.numel() for value in Model.load(large).denoiser.parameters())
        yield layout, count, most[0] - least[0], most[1] - least[1]


def watched(layout: Layout, out: Path, wanted: list[str]) -> tuple[float, float]:
    """The largest resident memory of any rank: at most, and the median while it trained, in MB."""
    processes, seen = started(layout, out, 960, wanted), list[float]()
    while any(process.poll() is None for process in processes):
        training = (out / "log.jsonl").is_file() and '"train"' in (out / "log.jsonl").read_text(encoding="utf-8")
        now = max((resident(pid) for process in processes for pid in family(process.pid)), default=0.0)
        seen.append(now if training else 0.0)
        seen[0] = max(seen[0], now)
        sleep(0.05)
    ended(processes)
    return seen[0], median([value for value in seen[1:] if value] or [0.0])


def family(pid: int) -> list[int]:
    """A process and all that it has started."""
    found = [pid]
    for parent in found:
        for thread in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(child) for child in thread.read_text().split()]
    return found


def resident(pid: int) -> float:
    """MB of its own: what it shares with others, such as libraries and data, is not counted."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines.splitlines() if line.startswith("Private")) / 1024


def capacity(memory: list[tuple[Layout, int, float, float]]) -> Iterator[str]:
    """What is planned, by its assumptions, and what was."""
    count, each = memory[0][1], sum(BYTES.values())
    parts = " + ".join(f"{value} ({name})" for name, value in BYTES.items())
    yield f"\n## Memory\n\nOf a network of {count:,} parameters in float32, in MB, less that of a tiny one in the same"
    yield f"layout. Planned are {parts} bytes of a parameter, all of them on every rank, or one in so many of them as"
    yield "there are ranks, beside the weights of what is being computed. The whole model is there for a moment before it"
    yield "is parted, and again on the first rank at the end.\n"
    yield "| | planned | in training | at most |\n|---|---|---|---|"
    for layout, _, most, middle in memory:
        planned = each * count / 2**20 / (layout.size if layout.sharded else 1)
        yield f"| {layout.name} | {planned:.0f} | {middle:.0f} | {most:.0f} |"


def train(layout: Layout, out: Path, samples: int, wanted: list[str] | tuple[str, ...]) -> None:
    with spaces() if layout.apart else nullcontext():
        ended(started(layout, out, samples, wanted))


def started(layout: Layout, out: Path, samples: int, wanted: list[str] | tuple[str, ...]) -> "list[subprocess.Popen[str]]":
    words = ["train", str(DATA), "--out", str(out), "--samples", str(samples), "--quiet"]
    settings = (*wanted, f"training.sharded={str(layout.sharded).lower()}")
    words += [word for setting in settings for word in ("--set", setting)]
    own = {"GLOO_SOCKET_IFNAME": "pellucid"} if layout.apart else {}
    env = {**os.environ, **own, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    return [
        subprocess.Popen([*command, *words], env=env, stdout=pipe, stderr=both, text=True) for command in layout.commands()
    ]


def ended(processes: "list[subprocess.Popen[str]]") -> None:
    for process in processes:
        told = process.communicate()[0]
        if process.returncode:
            raise SystemExit(told)


@contextmanager
def spaces() -> Iterator[None]:
    """Two network namespaces with a wire between them."""
    run = subprocess.check_call
    for space in SPACES:
        run(["ip", "netns", "add", space])
    try:
        run(["ip", "link", "add", "pellucid", "netns", SPACES[0], "type", "veth", "peer", "pellucid", "netns", SPACES[1]])
        for place, space in enumerate(SPACES):
            own = ["ip", "-n", space]
            run([*own, "address", "add", f"{ADDRESS[:-1]}{place + 1}/24", "dev", "pellucid"])
            run([*own, "link", "set", "pellucid", "up"])
            run([*own, "link", "set", "lo", "up"])
        yield
    finally:
        for space in SPACES:
            run(["ip", "netns", "del", space])


def answer(holds: bool) -> str:
    return "yes" if holds else "NO"


if __name__ == "__main__":
    main()
