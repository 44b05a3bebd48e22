"""A server under load of every kind at once: whether its limits hold, memory stays, and honest clients get their answers.

    soak.py MODEL --minutes 30 --out records/soak.md [--steps 4] [--seconds-between 5]

A real `pellucid serve` with tight limits. Honest clients draw samples, with and without events, and compare each picture
with the one drawn directly from its seed; beside them clients that are slow, broken, huge, hostile or too many.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from resume import machine
from serve import answer, directly
from soaking.clients import Honest, Tally
from soaking.unruly import CLIENTS
from soaking.watching import Sample, watch

from pellucid.core.files import atomic_write
from pellucid.model.model import Model

KEY = "soak"
LIMITS = ("--waiting", "48", "--most", "8", "--seconds", "60", "--megabytes", "0.5", "--batch", "8", "--api-key", KEY)
SEEDS = range(256)
FLAT = 1.1
"""The last third's memory may be so many times the first third's."""
PROMPT = 1.0
"""Seconds within which the server has to say how it is."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Soak a server.")
    parser.add_argument("model", type=Path)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seconds-between", type=float, default=5, help="two looks at the server's memory")
    parser.add_argument("--out", type=Path, default=Path("records/soak.md"))
    asked = parser.parse_args()
    text = "\n".join([*record(asked), ""])
    with atomic_write(asked.out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    print(text)


def record(asked: argparse.Namespace) -> Iterator[str]:
    expected, _ = directly(Model.load(asked.model), dict.fromkeys(SEEDS, 1), 8, asked.steps)
    words = [sys.executable, "-m", "pellucid", "serve", str(asked.model), "--port", "0", "--json", "--quiet", *LIMITS]
    with TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as errors, subprocess.Popen(words, stdout=subprocess.PIPE, stderr=errors, text=True) as process:
            try:
                assert process.stdout is not None
                address = json.loads(process.stdout.readline())["address"]
                honest = Honest(address, KEY, {seed: picture for (seed, _), picture in expected.items()}, asked.steps)
                tally, samples = asyncio.run(soak(honest, process.pid, asked))
                lives = process.poll() is None
            finally:
                process.kill()
        said = log.read_text()
    yield from verdicts(tally, samples, said, lives)
    yield from table(tally)
    yield f"\n- limits: `{' '.join(LIMITS[:-2])}`, with a key; {asked.steps} steps; {asked.minutes:g} minutes"
    yield "- command: in the docstring of benchmarks/soak.py"
    yield f"- date: {datetime.now(UTC):%Y-%m-%d}"
    yield from machine()


async def soak(honest: Honest, pid: int, asked: argparse.Namespace) -> tuple[Tally, list[Sample]]:
    """All clients at once until the time is over; each ends what it has begun."""
    tally, samples, until = Tally(), list[Sample](), monotonic() + 60 * asked.minutes
    port = int(honest.address.rpartition(":")[2])

    async def again(client: Any) -> None:
        while monotonic() < until:
            await client(port, KEY, tally)

    unruly = [again(client) for client in CLIENTS]
    trusty = [honest.run(tally, until, stream) for stream in (False, True) for _ in range(3)]
    await asyncio.gather(*trusty, *unruly, watch(honest.address, pid, until, asked.seconds_between, samples, tally))
    return tally, samples


def verdicts(tally: Tally, samples: list[Sample], said: str, lives: bool) -> Iterator[str]:
    """What has to hold."""
    third = max(1, len(samples) // 3)
    first, last = (median(one.memory for one in part) for part in (samples[:third], samples[-third:]))
    slowest = max(one.health for one in samples)
    faults = sum(count for (_, what), count in tally.came.items() if what == "500")
    yield "# A server under load\n"
    yield (
        f"- memory {first / 2**20:.0f} MiB in the first third, {last / 2**20:.0f} in the last, at most {FLAT} times: "
        f"**{answer(last <= FLAT * first)}**"
    )
    right = sum(tally.came[kind, "right"] for kind in ("honest", "honest, events"))
    yield f"- {right:,} right answers of honest clients, {tally.wrong} wrong, {tally.lost} lost: " \
          f"**{answer(bool(right) and not tally.wrong + tally.lost)}**"  # fmt: skip
    yield f"- health within {slowest:.2f} s, {PROMPT:.0f} s at most: **{answer(slowest <= PROMPT)}**"
    others = f"{len(tally.strange)} others {sorted(tally.strange)}" if tally.strange else "no others"
    yield f"- refusals as documented, {others}: **{answer(not tally.strange)}**"
    yield f"- no 500 ({faults}), no traceback, still at work: **{answer(lives and not faults and 'Traceback' not in said)}**"
    yield (
        f"\nOpen files {min(s.files for s in samples)} to {max(s.files for s in samples)}, {samples[-1].files} at the end; "
        f"threads {min(s.threads for s in samples)} to {max(s.threads for s in samples)}"
    )


def table(tally: Tally) -> Iterator[str]:
    yield "\n| sent | came back | times |\n|---|---|---|"
    for (kind, what), count in sorted(tally.came.items()):
        yield f"| {kind} | {what} | {count:,} |"


if __name__ == "__main__":
    main()
